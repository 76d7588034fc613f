"""Send photographs and what is none to the running pattern: `make demo`, or `make demo URL=http://…`."""

import http.client
import json
import os
import re
import statistics
import struct
import sys
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from mlsys import address, pictures
from mlsys.picture import SIDE

BOMB = b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 30_000, 30_000, 1, 24, *[0] * 6)
WRONG = (
    ("image/bmp", BOMB, "54 bytes that declare 900,000,000 pixels"),
    ("image/svg+xml", b"<svg/>", "<svg/>"),
    ("application/json", b'{"data": "cat!"}', '{"data": "cat!"}'),
    ("text/plain", b"cat", "cat"),
)
REQUESTS = 300


class Caller:
    """One kept-alive connection to prep."""

    def __init__(self, netloc: str) -> None:
        self._connection = http.client.HTTPConnection(netloc, timeout=10)

    def post(self, path: str, kind: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and decoded answer of one POST."""
        self._connection.request("POST", path, body, {"Content-Type": kind})
        response = self._connection.getresponse()
        return response.status, json.loads(response.read())

    def seconds(self) -> dict[str, tuple[float, float]]:
        """Sum and count of the seconds that each step has taken since the service started."""
        self._connection.request("GET", "/metrics")
        text = self._connection.getresponse().read().decode()
        found = dict(re.findall(r'^prep_step_seconds_((?:sum|count)\{step="\w+"\}) (\S+)$', text, re.MULTILINE))
        return {
            step: (float(found[f'sum{{step="{step}"}}']), float(found[f'count{{step="{step}"}}']))
            for step in ("decode", "predict")
        }


def predictions(caller: Caller) -> Table:
    """Each photograph, predicted."""
    table = Table("photograph", "sent", "label", "probability", title="Predictions")
    for name in pictures.NAMES:
        content = pictures.content(name)
        probabilities = caller.post("/predict", "image/png", content)[1]["prediction"]
        label = caller.post("/predict/label", "image/png", content)[1]["prediction"]
        table.add_row(name, f"{len(content):,} bytes", label, f"{max(probabilities):.3f}")
    return table


def refusals(caller: Caller) -> Table:
    """What wrong requests are told."""
    table = Table("content type", "body", "status", "message", title="Wrong requests")
    cat = pictures.content("cat")
    for kind, body, shown in (("image/png", cat[: len(cat) // 2], "half of the cat"), *WRONG):
        status, answer = caller.post("/predict", kind, body)
        table.add_row(kind, shown, str(status), answer["error"]["message"])
    return table


def latency(caller: Caller) -> str:
    """Times of REQUESTS predictions of the cat, one after another, as this client and the two halves see them."""
    cat = pictures.content("cat")
    milliseconds, before = [], caller.seconds()
    for _ in range(REQUESTS):
        began = time.perf_counter()
        status, answer = caller.post("/predict", "image/png", cat)
        milliseconds.append((time.perf_counter() - began) * 1000)
        if status != 200:
            raise RuntimeError(f"A prediction was answered by {status}: {answer}")
    after = caller.seconds()
    mean = {
        step: (after[step][0] - before[step][0]) / (after[step][1] - before[step][1]) * 1000
        for step in ("decode", "predict")
    }
    percentiles = statistics.quantiles(milliseconds, n=100)
    return (
        f"{REQUESTS} predictions of the cat: p50 {percentiles[49]:.1f} ms, p99 {percentiles[98]:.1f} ms; of that, "
        f"{mean['decode']:.1f} ms decoding and {mean['predict']:.1f} ms the model server and the way to it (means).\n"
        f"Prep received {len(cat):,} bytes a picture, and sent {SIDE * SIDE * 3:,} on."
    )


def main() -> None:
    """Print what the three functions above found."""
    caller = Caller(address.netloc())
    try:
        Console().print(predictions(caller), refusals(caller), latency(caller), sep="\n")
    except OSError as error:
        sys.exit(f"URL={os.environ['URL']} does not answer: {error}.")


if __name__ == "__main__":
    main()
