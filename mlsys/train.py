"""Build model files: `python -m mlsys.train NAME [NAME …] | all`. A file whose inputs are unchanged is left alone.

Models that take an hour are shipped, and copied.
"""

import argparse
import functools
import importlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

from . import catalogue, shipped, stamp
from .catalogue import ROOT

if TYPE_CHECKING:  # importing it imports scikit-learn, which takes a second: too long for finding that nothing is to do
    from .project import Trained

TEST_SIZE = 0.3


class Parser(argparse.ArgumentParser):
    """A parser that refuses in one sentence, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        """Print the sentence and exit with 2."""
        self.exit(2, f"{message[0].upper()}{message[1:]}\n")


@functools.cache
def trainers() -> dict[str, str]:
    """Which module trains which model in seconds: a training project's package names such models in `MODELS`."""
    return {
        model: f"{project.module}.train"
        for project in catalogue.projects()
        for model in getattr(importlib.import_module(project.module), "MODELS", ())
    }


def test_size(text: str) -> float:
    """A share of flowers to test on, from 0.1 to 0.5, so that each fold of the rest still holds every species.

    Raises: argparse.ArgumentTypeError for anything else.
    """
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0.1 <= share <= 0.5:
        raise argparse.ArgumentTypeError(f"{text!r} is no share of flowers to test on: give a number from 0.1 to 0.5")
    return share


def parser(description: str | None) -> Parser:
    """The options of one project's own command (`python -m chapter2_training.….train`), for it to add to."""
    options = Parser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    options.add_argument("--test_size", type=test_size, default=TEST_SIZE, help="share of flowers to test on (0.3)")
    options.add_argument("--output", type=Path, default=ROOT / "models", help="folder of the model files")
    options.add_argument("--save", action="store_true", help="write the plots that the README shows into img/")
    add_registry(options)
    return options


def add_registry(options: argparse.ArgumentParser) -> None:
    """The option `--registry`, for every command that trains."""
    options.add_argument(
        "--registry", metavar="URL", help="make the file a version in this registry (its token: REGISTRY_TOKEN)"
    )


def registrar(url: str | None) -> Callable[[Path], None]:
    """What registers a model file and says so; it does nothing without a URL.

    Raises: SystemExit with one sentence if the registry cannot be used, before the hours that training may take.
    """
    if url is None:
        return lambda _: None
    from . import registration  # imports an HTTP client, which training alone has no use for

    registry = registration.registry(url)
    return lambda model: say(f"  {registration.told(registry, model)}")


def study(name: str, options: argparse.Namespace) -> None:
    """Build one model in any case, log the run and its plots, and print what was measured: what `make train` does."""
    plots, tracking = _study_tools()
    register = registrar(options.registry)
    started = time.monotonic()
    trained = build(name, options.output, options.test_size)
    say(_line(trained, options.output, started))
    for metric, value in trained.metadata.metrics.items():
        say(f"  {metric:32} {value:.4f}")
    say(f"  MLflow run {tracking.log(trained, file_of(name, options.output))}; see it with `make ui`")
    register(file_of(name, options.output))
    if options.save:
        folder = ROOT.joinpath(*trained.project.trainer.split(".")[:-1], "img")
        say(f"  plots in {os.path.relpath(folder)}: {', '.join(path.name for path in plots.save(trained, folder))}")


def build(name: str, output: Path, share: float) -> "Trained":
    """Train one model on all but the `share` of test flowers, and write its file into `output`/`name`/.

    Raises: SystemExit with one sentence if the file cannot be written.
    """
    from . import project

    module = importlib.import_module(trainers()[name])
    trained = project.fit(next(p for p in module.PROJECTS if p.name == name), test_size=share)
    path = file_of(name, output)
    try:
        stamp.save(path, trained.content, trainers()[name], share)
    except OSError as error:
        raise SystemExit(_unwritable(path, error)) from error
    return trained


def file_of(name: str, output: Path) -> Path:
    """Where a model's file is under the folder of the models."""
    return output / name / "model.onnx"


def main() -> None:
    """Build what is named and stale, a line each."""
    options = _arguments()
    tracking = _study_tools()[1] if options.track else None
    register = registrar(options.registry)
    for name in options.names:
        _make(name, options, tracking)
        register(file_of(name, options.output))


def _make(name: str, options: argparse.Namespace, tracking: ModuleType | None) -> None:
    started = time.monotonic()
    path = file_of(name, options.output)
    if name not in trainers():
        say(f"{name}: {_copy(name, path)}, {os.path.relpath(path)}")
        return
    if not tracking and stamp.unchanged(path, trainers()[name], options.test_size):
        say(f"{name}: unchanged, {os.path.relpath(path)}")
        return
    trained = build(name, options.output, options.test_size or TEST_SIZE)
    say(_line(trained, options.output, started))
    if tracking:
        say(f"  MLflow run {tracking.log(trained, path)}")


def say(line: str) -> None:
    """Print a line at once, also where output is piped: progress must be seen while it happens.

    Where nobody reads any more (`| head`), the work goes on in silence.
    """
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _study_tools() -> tuple[ModuleType, ModuleType]:
    """The modules of plots and tracking, which need packages that building a model does not.

    Raises: SystemExit with one sentence if these are not installed.
    """
    try:
        from . import plots, tracking
    except ModuleNotFoundError as missing:
        raise SystemExit(
            f"Tracking needs {missing.name}: install the category `tracking`, as `make train` does."
        ) from missing
    return plots, tracking


def _arguments() -> argparse.Namespace:
    options = Parser(prog="python -m mlsys.train", description=__doc__, allow_abbrev=False)
    options.add_argument("names", nargs="+", metavar="NAME", help=f"all, or any of: {', '.join(_names())}")
    options.add_argument("--test_size", type=test_size, help="share of flowers to test on (as before, else 0.3)")
    options.add_argument("--output", type=Path, default=ROOT / "models", help="folder of the model files")
    options.add_argument("--track", action="store_true", help="build in any case, and log runs and plots with MLflow")
    add_registry(options)
    found = options.parse_args()
    if unknown := [name for name in found.names if name not in {*_names(), "all"}]:
        options.error(f"there is no model {unknown[0]!r}: give all, or any of {', '.join(_names())}")
    if "all" in found.names:
        found.names = _names()
    return found


def _names() -> list[str]:
    return [*trainers(), *shipped.models()]


def _copy(name: str, path: Path) -> str:
    try:
        return shipped.copy(shipped.models()[name], path)
    except OSError as error:
        raise SystemExit(_unwritable(path, error)) from error


def _unwritable(path: Path, error: OSError) -> str:
    return f"Model {path} cannot be written ({error.strerror}): name a folder by --output."


def _line(trained: "Trained", output: Path, started: float) -> str:
    metric, value = next((name, v) for name, v in trained.metadata.metrics.items() if not name.startswith("cv_"))
    path = os.path.relpath(file_of(trained.project.name, output))
    return f"{trained.project.name}: built in {time.monotonic() - started:.1f} s, {metric} {value:.3f}, {path}"


if __name__ == "__main__":
    main()
