"""Measure what it takes to have an item's tensor, with a cache and without. Needs Linux; takes about a minute."""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from mlsys import pictures
from mlsys.redis import connect_blocking
from mlsys.redis_server import RedisServer

from .. import command, machine
from . import report
from .report import Cell, Rounds, Sample
from .ways import BATCH, SIDES, WAYS, Kept, require_same

PACKAGES = ("numpy", "pillow", "redis", "hiredis")
FEWEST = 3


def main() -> None:
    """Everything, to the written results."""
    parser = command.parser("data_cache", __doc__)
    parser.add_argument("--ms", type=command.count, default=200, help="milliseconds for each figure in a round (200)")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(RedisServer(folder / "redis", durable=False))
        redis = stack.enter_context(connect_blocking(server.url(), timeout_s=10))
        version = str(redis.info("server")["redis_version"])
        file = folder / "cat.png"
        file.write_bytes(pictures.content("cat"))
        kept = {Cell(way.name, side): Kept(way, side, file, redis) for side in SIDES for way in WAYS}
        require_same(list(kept.values()))
        rounds = measure(kept, options.rounds, options.ms / 1000)
    result = report.Report(
        machine=machine.describe(),
        versions=machine.versions(f"Redis {version}, on the same machine", PACKAGES, []),
        command=command.line("data_cache"),
        count=options.rounds,
        batch=BATCH,
        sizes={cell: each.size for cell, each in kept.items()},
        rounds=rounds,
    )
    report.write(result, options.output)
    print(report.markdown(result), f"Written to {options.output}.", sep="\n")


def measure(kept: dict[Cell, Kept], count: int, seconds: float) -> Rounds:
    """Each cell in turn, round by round."""
    rounds: Rounds = {cell: [] for cell in kept}
    for number in range(1, count + 1):
        for cell, each in kept.items():
            several = mean_ms(each.read_several, seconds) / BATCH
            write = mean_ms(each.write, seconds) if each.size else 0.0
            rounds[cell].append(Sample(mean_ms(each.read, seconds), several, write))
            print(f"round {number} {cell.side:4} {cell.way:40} {rounds[cell][-1].read_ms:9.3f} ms", flush=True)
    return rounds


def mean_ms(work: Callable[[], object], seconds: float) -> float:
    """Milliseconds that one call takes, by so many calls as fit into the time, and some in any case."""
    work()
    calls, began = 0, time.perf_counter()
    while calls < FEWEST or time.perf_counter() - began < seconds:
        work()
        calls += 1
    return (time.perf_counter() - began) * 1000 / calls


if __name__ == "__main__":
    main()
