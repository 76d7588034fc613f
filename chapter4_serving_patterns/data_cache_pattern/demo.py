"""Ask for items with the cache and without it: `make demo`, or `make demo URL=http://…`; --save draws img/cache.png."""

import argparse
import http.client
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from mlsys import address

REQUESTS = 100
WITHOUT = {"Cache-Control": "no-cache"}
"""Asks the service to take nothing from a cache."""
WRONG = ('{"data": "9999"}', '{"data": "../../etc/passwd"}', '{"data": "*"}', '{"data": ["0000"]}')
WARM_S = 10.0


class Answer(NamedTuple):
    """One answer, and the milliseconds that it took."""

    status: int
    headers: dict[str, str]
    content: dict[str, Any]
    ms: float


class Caller:
    """One kept-alive connection."""

    def __init__(self, netloc: str) -> None:
        self._connection = http.client.HTTPConnection(netloc, timeout=10)

    def ask(self, method: str, path: str, body: str = "", headers: dict[str, str] | None = None) -> Answer:
        """One request."""
        began = time.perf_counter()
        self._connection.request(method, path, body, {"Content-Type": "application/json"} | (headers or {}))
        response = self._connection.getresponse()
        content = json.loads(response.read())
        named = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, named, content, (time.perf_counter() - began) * 1000)

    def predict(self, item: str, *, cached: bool) -> Answer:
        """The class of an item. Raises: RuntimeError if there is none, or it is from elsewhere than asked for."""
        answer = self.ask("POST", "/predict/label", json.dumps({"data": item}), {} if cached else WITHOUT)
        if answer.status != 200 or (answer.headers["x-cache"] in ("hit", "stale")) != cached:
            raise RuntimeError(f"Item {item} was answered by {answer.status} {answer.headers} {answer.content}.")
        return answer


def warm(caller: Caller, ids: list[str]) -> None:
    """Wait until the cache has all items."""
    end = time.monotonic() + WARM_S
    while any(
        caller.ask("POST", "/predict/label", json.dumps({"data": i})).headers.get("x-cache") != "hit" for i in ids
    ):
        if time.monotonic() > end:
            sys.exit(f"Not all of {ids} were in the cache within {WARM_S:g} s: is Redis there? See /ready.")
        time.sleep(0.1)


def items(caller: Caller, ids: list[str]) -> Table:
    """Each item from the cache, and made anew."""
    table = Table("item", "label", "age (s)", "from the cache (ms)", "made anew (ms)", title="Items")
    for item in ids:
        hits = [caller.predict(item, cached=True) for _ in range(5)]
        new = [caller.predict(item, cached=False) for _ in range(5)]
        found = [f"{statistics.median(answer.ms for answer in answers):.1f}" for answers in (hits, new)]
        table.add_row(item, hits[0].content["prediction"], hits[0].headers["age"], *found)
    return table


def refusals(caller: Caller) -> Table:
    """What wrong requests are told."""
    table = Table("body", "status", "message", title="Wrong requests")
    for body in WRONG:
        answer = caller.ask("POST", "/predict", body)
        table.add_row(body, str(answer.status), answer.content["error"]["message"])
    return table


def times(caller: Caller, ids: list[str]) -> dict[str, list[float]]:
    """Milliseconds an item of REQUESTS answers each, taken in turn: cached, made anew, and all of them at once."""
    found: dict[str, list[float]] = {"made anew": [], "from the cache": [], f"{len(ids)} in one request": []}
    batch = json.dumps({"data": ids})
    for number in range(REQUESTS):
        item = ids[number % len(ids)]
        found["made anew"].append(caller.predict(item, cached=False).ms)
        found["from the cache"].append(caller.predict(item, cached=True).ms)
        found[f"{len(ids)} in one request"].append(caller.ask("POST", "/predict/batch", batch).ms / len(ids))
    return found


def summary(found: dict[str, list[float]]) -> str:
    """The percentiles of each."""
    lines = []
    for way, ms in found.items():
        percentiles = statistics.quantiles(ms, n=100)
        lines.append(f"{way}: p50 {percentiles[49]:.2f} ms, p99 {percentiles[98]:.2f} ms an item (n={len(ms)})")
    return "\n".join(lines)


def main() -> None:
    """Print what was found; with --save draw it too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help="write img/cache.png")
    save = parser.parse_args().save
    caller = Caller(address.netloc())
    try:
        ids = caller.ask("GET", "/items").content["items"]
        warm(caller, ids)
        Console().print(items(caller, ids), refusals(caller), sep="\n")
        found = times(caller, ids)
    except RuntimeError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"URL={os.environ['URL']} does not answer: {error}.")
    print(summary(found))
    if save:
        from .picture import draw

        draw(found, Path(__file__).parent / "img" / "cache.png")


if __name__ == "__main__":
    main()
