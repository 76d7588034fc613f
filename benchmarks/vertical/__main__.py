"""Measure the vertical chain, its stages alone, and the same steps in one process. Needs wrk; some 3 minutes."""

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from .. import command, machine
from ..load import ROOT, require_wrk
from . import report
from .bench import Bench, Cell
from .deployments import TARGETS
from .report import Rounds

PACKAGES = ("onnxruntime", "numpy", "uvicorn", "fastapi", "aiohttp", "msgspec")
MANY = 16


def main() -> None:
    """Everything, to the written results."""
    options = _arguments()
    wrk = require_wrk()
    command.leave_on_signals()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        bench = Bench(stack, options.models, options.seconds, Path(folder))
        bench.require_agreement()
        rounds = _measure(bench, options.rounds)
    result = report.Report(
        machine=machine.describe(),
        versions=machine.versions(wrk, PACKAGES, []),
        command=command.line("vertical"),
        seconds=options.seconds,
        count=options.rounds,
        many=MANY,
        rounds=rounds,
    )
    report.write(result, options.output)
    print(report.markdown(result), f"Written to {options.output}.", sep="\n")


def _measure(bench: Bench, count: int) -> Rounds:
    """Each cell once, then each again."""
    rounds: Rounds = {Cell(target.name, clients): [] for clients in (1, MANY) for target in TARGETS}
    targets = {target.name: target for target in TARGETS}
    for number in range(1, count + 1):
        for cell, samples in rounds.items():
            samples.append(bench.sample(targets[cell.target], cell.clients))
            print(f"round {number} {cell.target:25} {cell.clients:3} {samples[-1].per_second:8,.0f}/s", flush=True)
    return rounds


def _arguments() -> argparse.Namespace:
    parser = command.parser("vertical", __doc__)
    parser.add_argument(
        "--seconds", type=command.count, default=2, help="seconds of load for each figure in each round (2)"
    )
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="folder of the model folders")
    return parser.parse_args()


if __name__ == "__main__":
    main()
