"""Send real requests to the running pattern and print what came back: `make demo`, or `make demo URL=http://…`."""

import http.client
import json
import os
import statistics
import sys
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from mlsys import address

FLOWERS = ([5.1, 3.5, 1.4, 0.2], [6.0, 2.9, 4.5, 1.5], [6.3, 3.3, 6.0, 2.5])
WRONG = ("{}", '{"data": [[5.1, 3.5, 1.4]]}', '{"data": [[5.1, 3.5, 1.4, 1e39]]}', '{"data": [[5.1, 3.5', "NaN")
REQUESTS = 2000


class Caller:
    """One kept-alive connection to the pattern."""

    def __init__(self, netloc: str) -> None:
        self._connection = http.client.HTTPConnection(netloc, timeout=10)

    def post(self, path: str, body: str) -> tuple[int, dict[str, Any]]:
        """Status and decoded answer of one POST."""
        self._connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        return response.status, json.loads(response.read())


def predictions(caller: Caller) -> Table:
    """Three flowers, predicted."""
    table = Table("flower (cm)", "setosa", "versicolor", "virginica", "label", title="Predictions")
    for flower in FLOWERS:
        body = json.dumps({"data": [flower]})
        probabilities = caller.post("/predict", body)[1]["prediction"]
        label = caller.post("/predict/label", body)[1]["prediction"]
        table.add_row(str(flower), *(f"{probability:.3f}" for probability in probabilities), label)
    return table


def refusals(caller: Caller) -> Table:
    """What wrong requests are told."""
    table = Table("body", "status", "message", title="Wrong requests")
    for body in WRONG:
        status, answer = caller.post("/predict", body)
        table.add_row(body, str(status), answer["error"]["message"])
    return table


def latency(caller: Caller) -> str:
    """Percentiles over REQUESTS predictions, one after another, seen by this client on the same machine."""
    body, milliseconds = json.dumps({"data": [FLOWERS[0]]}), []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        status, answer = caller.post("/predict", body)
        milliseconds.append((time.perf_counter() - began) * 1000)
        if status != 200:
            raise RuntimeError(f"A prediction was answered by {status}: {answer}")
    percentiles = statistics.quantiles(milliseconds, n=100)
    return f"{REQUESTS:,} predictions one after another: p50 {percentiles[49]:.2f} ms, p99 {percentiles[98]:.2f} ms"


def main() -> None:
    """Print what the three functions above found."""
    caller = Caller(address.netloc())
    try:
        Console().print(predictions(caller), refusals(caller), latency(caller), sep="\n")
    except OSError as error:
        sys.exit(f"URL={os.environ['URL']} does not answer: {error}.")


if __name__ == "__main__":
    main()
