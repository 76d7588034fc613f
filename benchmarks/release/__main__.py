"""Measure what a change of the model costs, as an image, by a loader and as a package, by the model's size.

Needs `make run` of the three patterns to work; some 10 GB of disk under TMPDIR for 500 MB; takes about ten minutes.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mlsys.network import Network

from .. import command, machine
from . import images, models, report, shelf, ways
from .report import Report, Sample
from .ways import Edition, Way

T = TypeVar("T")
PACKAGES = ("onnxruntime", "numpy", "build", "hatchling", "pip", "urllib3")


def main() -> None:
    """Everything, to the written results."""
    options = _arguments()
    command.leave_on_signals()
    missing = images.missing()
    samples: list[Sample] = []
    opened: dict[int, float] = {}
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder, shelf.serving(_made(Path(folder, "shelf"))) as server:
            scratch = Path(folder)
            editions = [_edition(scratch, size, patch) for patch in (1, 2)]
            opened[size] = _timed(lambda: Network.load(editions[0].file))[0]  # noqa: B023  # called at once
            every: list[Way] = [ways.Load(server, scratch), ways.Package(server, scratch)]
            if missing is None:
                every.insert(0, images.Image(options.base, options.registry, scratch))
            for number in range(1, options.rounds + 1):
                for way in every:
                    samples += _round(way, size, editions)
                    print(f"round {number}, {size} MB, {way.name}: {samples[-2]} {samples[-1]}", flush=True)
            for way in every:
                way.fresh()
    result = Report(
        machine=machine.describe(),
        versions=machine.versions("no load", PACKAGES, []),
        command=command.line("release"),
        count=options.rounds,
        missing=missing or "",
        opened=opened,
        samples=samples,
    )
    report.write(result, options.output)
    print(report.markdown(result), f"Written to {options.output}.", sep="\n")


def _round(way: Way, size: int, editions: list[Edition]) -> list[Sample]:
    """The new model comes to a machine that has the one before; then the machine goes back to that one."""
    before, new = editions
    way.fresh()
    way.publish(before)
    way.arrive(before)
    published_s, out = _timed(lambda: way.publish(new))
    arrived_s, come = _timed(lambda: way.arrive(new))
    back_s, back = _timed(lambda: way.arrive(before))
    return [
        Sample(way.name, size, "cold", published_s, arrived_s, out + come),
        Sample(way.name, size, "warm", 0.0, back_s, back),
    ]


def _timed(step: Callable[[], T]) -> tuple[float, T]:
    began = time.perf_counter()
    result = step()
    return time.perf_counter() - began, result


def _edition(scratch: Path, size: int, patch: int) -> Edition:
    file = scratch / f"models-{patch}" / "generated" / "model.onnx"
    return Edition("generated", f"1.0.{patch}+random", file, models.generate(file, size, seed=patch))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _arguments() -> argparse.Namespace:
    parser = command.parser("release", __doc__, rounds=3)
    parser.add_argument(
        "--sizes", type=command.count, nargs="+", default=[1, 10, 100, 500], help="MB of the models (1 10 100 500)"
    )
    parser.add_argument("--registry", default="", help="host:port of a registry:2 for images; else they are saved")
    parser.add_argument("--base", default="python:3.11-slim", help="image under the model's layer")
    return parser.parse_args()


if __name__ == "__main__":
    main()
