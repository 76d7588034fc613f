"""Measure the prediction cache. Needs wrk and Linux; takes some 6 minutes."""

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TypeVar

from chapter4_serving_patterns.prediction_cache_pattern.traffic import new_pictures, zipf

from .. import command, machine
from ..load import ROOT, require_wrk
from . import report, services
from .bench import Bench

PACKAGES = ("redis", "hiredis", "numpy", "pillow", "uvicorn", "fastapi", "grpcio", "tritonclient")
PICTURES = (10, 100, 1000, 0)
HITS = (services.CACHE, services.TWO, services.NEAR, services.NEAR_TWO)
T = TypeVar("T")


def main() -> None:
    """Everything, to the written results."""
    options = _arguments()
    wrk = require_wrk()
    command.leave_on_signals()
    result = report.Report(
        machine=machine.describe(),
        versions=machine.versions(wrk, PACKAGES, []),
        command=command.line("prediction_cache"),
        seconds=options.seconds,
        requests=options.requests,
        count=options.rounds,
        item={name: [] for name in report.ITEM_ROWS},
        traffic={pictures: {"cache": [], "without": []} for pictures in PICTURES},
        stampede={"single-flight": [], services.STAMPEDE.name: []},
        hits={variant.name: [] for variant in HITS},
    )
    with ExitStack() as stack:
        bench = Bench(stack, options.models, services.VARIANTS)
        for round_number in range(1, options.rounds + 1):
            _round(bench, result, round_number)
    report.write(result, options.output)
    print(report.markdown(result), f"Written to {options.output}.", sep="\n")


def _round(bench: Bench, result: report.Report, number: int) -> None:
    """Every figure once."""

    def take(rounds: list[T], what: str, measure: Callable[[], T]) -> None:
        rounds.append(measure())
        print(f"round {number} {what:34} {rounds[-1]}", flush=True)

    n = result.requests // 2
    for name, variant in (("hit", services.CACHE), ("miss", services.CACHE), ("without", services.WITHOUT)):
        take(result.item[name], name, partial(bench.item, variant, n, forget=name == "miss"))
    for pictures, variants in result.traffic.items():
        # New ones in each round, which no cache has seen; the same for both.
        bodies = zipf(new_pictures(pictures), result.requests) if pictures else new_pictures(result.requests)
        for variant in (services.CACHE, services.WITHOUT):
            what = f"traffic, {pictures or 'new'} pictures, {variant.name}"
            take(variants[variant.name], what, partial(bench.traffic, variant, bodies))
    for name, variant in (("single-flight", services.CACHE), (services.STAMPEDE.name, services.STAMPEDE)):
        take(result.stampede[name], name, partial(bench.stampede, variant))
    for variant in HITS:
        take(result.hits[variant.name], variant.name, partial(bench.hits, variant, result.seconds))


def _arguments() -> argparse.Namespace:
    parser = command.parser("prediction_cache", __doc__)
    parser.add_argument("--seconds", type=command.count, default=3, help="seconds of load for hits a second (3)")
    parser.add_argument("--requests", type=command.count, default=400, help="requests of one traffic, at least 4 (400)")
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="folder of the model folders")
    options = parser.parse_args()
    if options.requests < 4:
        parser.error(f"--requests {options.requests} is too few: give at least 4")
    return options


if __name__ == "__main__":
    main()
