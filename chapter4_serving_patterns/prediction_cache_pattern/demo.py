"""Ask the running pattern for items, pictures and one thing a hundred times: `make demo`, or with URL=http://host:port."""

import argparse
import http.client
import json
import os
import statistics
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mlsys import address

from .items import ITEMS
from .traffic import Caller, Reply, at_once, new_pictures, zipf

TOGETHER = 100
PICTURES, REQUESTS = 200, 1000
CALLS = "prediction_cache_model_calls_total"


def items(caller: Caller, token: str) -> Table:
    """Each item twice, and once more after it was invalidated."""
    table = Table(
        "item", "picture", "label", "first", "then", "DELETE", "then", title="The eight items: X-Cache, and ms"
    )
    for item in ITEMS:
        body = json.dumps({"data": item.id}).encode()
        first, second = (caller.ask("POST", "/predict/label", body) for _ in range(2))
        deleted = caller.ask("DELETE", f"/cache/items/{item.id}", token=token)
        third = caller.ask("POST", "/predict/label", body)
        part = f"{item.photograph}{' (part)' * bool(item.square)}"
        label = json.loads(second.body)["prediction"]
        table.add_row(item.id, part, label, _said(first), _said(second), deleted.cache, _said(third))
    return table


def stampede(netloc: str, caller: Caller, body: bytes) -> str:
    """What TOGETHER identical requests at once cost the model."""
    before = caller.metric(CALLS)
    replies = at_once(netloc, body, TOGETHER)
    calls = caller.metric(CALLS) - before
    same = len({reply.body for reply in replies})
    return f"{TOGETHER} identical requests at once: model calls {calls:.0f}, different answers {same}."


def traffic(caller: Caller, bodies: list[bytes]) -> list[Reply]:
    """REQUESTS requests for the pictures, of which some are popular."""
    return [caller.ask("POST", "/predict", body) for body in zipf(bodies, REQUESTS)]


def summary(replies: list[Reply]) -> Table:
    """How many of each kind there were, and how long they took."""
    title = f"{REQUESTS:,} requests, the k-th of {PICTURES} pictures as often as 1/k"
    table = Table("X-Cache", "requests", "share", "p50 (ms)", "p99 (ms)", title=title)
    for cache in sorted({reply.cache for reply in replies}):
        times = [reply.ms for reply in replies if reply.cache == cache]
        percentiles = statistics.quantiles([*times, times[-1]], n=100)
        shown = [f"{percentiles[place]:.2f}" for place in (49, 98)]
        table.add_row(cache, f"{len(times):,}", f"{len(times) / len(replies):.0%}", *shown)
    return table


def _said(reply: Reply) -> str:
    return f"{reply.cache} {reply.ms:.1f}"


def main() -> None:
    """Print what the functions above found; with --save draw the traffic too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help="write img/traffic.png")
    save = parser.parse_args().save
    netloc = address.netloc()
    one, *others = new_pictures(1 + PICTURES)  # it takes seconds, after which a connection would have been closed
    try:
        with Caller(netloc) as caller:
            Console().print(items(caller, os.environ.get("CACHE_TOKEN", "")), stampede(netloc, caller, one), sep="\n")
            replies = traffic(caller, others)
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"URL={os.environ['URL']} does not answer: {error}.")
    Console().print(summary(replies))
    if save:
        from .picture import draw

        draw(replies, PICTURES, Path(__file__).parent / "img" / "traffic.png")


if __name__ == "__main__":
    main()
