"""Networks that tell what a small picture shows, learnt from CIFAR-10 in steps that are never repeated.

`make train model_type=cifar10_small epochs=2` prepares the pictures, trains, exports and evaluates. What was done with
the same parameters, pictures and code is not done again, and what was killed goes on where it was.
"""

import argparse
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mlsys.catalogue import ROOT
from mlsys.errors import StartupError
from mlsys.train import Parser, add_registry, registrar, say

from . import memory
from .recipe import RECIPES

WORK = Path(__file__).parent / ".run"


def _bounded(kind: type[int] | type[float], low: float, high: float, text: str) -> float:
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no {'whole ' if kind is int else ''}number from {low:g} to {high:g}"
        )
    return value


def parser() -> Parser:
    """The options of `python -m chapter2_training.cifar10.train`, which are the parameters of `make train`."""
    options = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    cores = os.cpu_count() or 1
    options.add_argument("--model_type", choices=list(RECIPES), default="cifar10_small", help="network (cifar10_small)")
    options.add_argument("--epochs", type=lambda t: int(_bounded(int, 1, 1000, t)), help="passes over the pictures")
    options.add_argument(
        "--batch_size", type=lambda t: int(_bounded(int, 2, 10_000, t)), help="pictures for one step (512)"
    )
    options.add_argument("--learning_rate", type=lambda t: _bounded(float, 1e-6, 10, t), help="its peak")
    options.add_argument(
        "--num_workers",
        type=lambda t: int(_bounded(int, 1, 64, t)),
        default=cores,
        help="processes that decode pictures",
    )
    options.add_argument(
        "--validation", type=lambda t: _bounded(float, 0, 0.5, t), default=0.1, help="share of training pictures (0.1)"
    )
    options.add_argument(
        "--seed", type=lambda t: int(_bounded(int, 0, 1e6, t)), default=0, help="of all that is random (0)"
    )
    options.add_argument("--data", type=Path, help="pictures: tar or folder (CIFAR10_DATA, else the official archive)")
    options.add_argument("--work", type=Path, default=WORK, help="folder of the steps")
    options.add_argument("--output", type=Path, default=ROOT / "models", help="folder of the model files")
    options.add_argument("--save", action="store_true", help="write the plots that the README shows into img/")
    add_registry(options)
    options.add_argument("--ship", choices=["yes"], help="write what the repository ships into pretrained/")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the steps; a refusal is one sentence and exit code 1."""
    given = parser().parse_args(arguments)
    recipe = RECIPES[given.model_type]
    recipe = recipe if given.epochs is None else recipe.within(given.epochs)
    changes = {name: getattr(given, name) for name in ("batch_size", "learning_rate", "seed")}
    recipe = replace(recipe, **{name: value for name, value in changes.items() if value is not None})
    register = registrar(given.registry)
    memory.keep_freed()
    from . import pipeline, publish, ship  # these import torch, which finding out what can be trained does not need
    from .steps import Passing

    data = given.data or (Path(os.environ["CIFAR10_DATA"]) if os.environ.get("CIFAR10_DATA") else None)
    asked = pipeline.Run(
        model_type=given.model_type,
        recipe=recipe,
        data=data,
        validation=given.validation,
        num_workers=given.num_workers,
        work=given.work,
        say=say,
    )
    try:
        released = publish.publish(asked, given.output, Path(__file__).parent / "img" if given.save else None)
        if given.ship:
            ship.ship(asked, released)
    except (StartupError, Passing) as error:
        raise SystemExit(" ".join(str(error).split())) from error  # tarfile's own reasons have several lines
    except OSError as error:  # without a name where a full disk ends a write
        raise SystemExit(f"{error.filename or 'A file'} cannot be used ({error.strerror or error}).") from error
    for model in released.files.values():
        register(model)
    if released.refusal:
        raise SystemExit(released.refusal)


if __name__ == "__main__":
    main()
