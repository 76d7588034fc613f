"""Measure the prep-pred pattern beside the same code in one process. Needs wrk and Linux; takes some 5 minutes."""

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from .. import command, machine
from ..load import ROOT, require_wrk
from . import deployments, report
from .bench import Bench, Cell, require_agreement
from .report import Rounds

PACKAGES = ("onnxruntime", "numpy", "pillow", "uvicorn", "fastapi", "grpcio", "tritonclient")
MANY = 16


def main() -> None:
    """Everything, to the written results."""
    options = _arguments()
    wrk = require_wrk()
    command.leave_on_signals()
    payloads = deployments.payloads()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(payloads, options.seconds, Path(folder))
        rounds = _measure(bench, list(payloads), deployments.values(options.models, Path(folder)), options.rounds)
    result = report.Report(
        machine=machine.describe(),
        versions=machine.versions(wrk, PACKAGES, []),
        command=command.line("prep_pred"),
        seconds=options.seconds,
        count=options.rounds,
        many=MANY,
        sizes={name: len(content) for name, (_, content) in payloads.items()},
        rounds=rounds,
    )
    report.write(result, options.output)
    print(report.markdown(result), f"Written to {options.output}.", sep="\n")


def _measure(bench: Bench, payloads: list[str], values: dict[str, str], count: int) -> Rounds:
    """Start all, then measure each cell in turn, round by round, while the others are paused."""
    with ExitStack() as stack:
        started = {each.name: bench.start(stack, each, values) for each in deployments.DEPLOYMENTS}
        require_agreement([bench.answers(running) for running in started.values()])
        cells = [Cell(name, payload, clients) for payload in payloads for clients in (1, MANY) for name in started]
        rounds: Rounds = {cell: [] for cell in cells}
        for number in range(1, count + 1):
            for cell in cells:
                sample = bench.sample(started[cell.deployment], cell)
                rounds[cell].append(sample)
                print(f"round {number} {' '.join(map(str, cell)):50} {sample.per_second:8,.0f}/s", flush=True)
    return rounds


def _arguments() -> argparse.Namespace:
    parser = command.parser("prep_pred", __doc__)
    parser.add_argument(
        "--seconds", type=command.count, default=2, help="seconds of load for each figure in each round (2)"
    )
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="folder of the model folders")
    return parser.parse_args()


if __name__ == "__main__":
    main()
