"""Send petals to the running pattern, or to a machine that it was released to: `make demo URL=http://host:8000`."""

import http.client
import json
import os
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from mlsys import address

PETALS = ((1.4, 0.2), (4.0, 1.2), (4.9, 1.6), (5.1, 2.4))
WRONG = ('{"length": 5.1}', '{"length": 5.1, "width": "wide"}', '{"length": 5.1, "width": 1e39}', "length=5.1")


class Caller:
    """One kept-alive connection to the pattern."""

    def __init__(self, netloc: str) -> None:
        self._connection = http.client.HTTPConnection(netloc, timeout=10)

    def predict(self, body: str) -> tuple[int, dict[str, Any]]:
        """Status and decoded answer."""
        self._connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        return response.status, json.loads(response.read())


def tables(caller: Caller) -> list[Table]:
    """Petals with their species, and what wrong requests are told."""
    right = Table("length (cm)", "width (cm)", "species", title="Petals")
    for length, width in PETALS:
        status, answer = caller.predict(json.dumps({"length": length, "width": width}))
        if status != 200:
            sys.exit(f"A petal was answered by {status}: {answer}")
        right.add_row(str(length), str(width), answer["prediction"])
    wrong = Table("body", "status", "message", title="Wrong requests")
    for body in WRONG:
        status, answer = caller.predict(body)
        wrong.add_row(body, str(status), answer["error"]["message"])
    return [right, wrong]


def main() -> None:
    """Print both tables."""
    caller = Caller(address.netloc())
    try:
        Console().print(*tables(caller), sep="\n")
    except OSError as error:
        sys.exit(f"URL={os.environ['URL']} does not answer: {error}.")


if __name__ == "__main__":
    main()
