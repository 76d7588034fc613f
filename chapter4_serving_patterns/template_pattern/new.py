"""Make a pattern in a chapter of this repository, or with --to a project of its own: `make new name=my_pattern`."""

import sys
import tempfile
from argparse import Namespace
from pathlib import Path

from mlsys.catalogue import ROOT
from mlsys.errors import StartupError
from mlsys.train import file_of

from . import project, render, variables
from .tidy import tidy
from .variables import BOOK, Variables
from .wanted import arguments, check


def model_of(wanted: Namespace) -> Variables:
    """Build the model if need be, and read it. Raises: Refused if there is none of that name, Contradiction."""
    name = "iris_svc" if wanted.model is None else wanted.model
    project.train([name])
    given = {name: getattr(wanted, name) for name in BOOK if getattr(wanted, name) is not None}
    return variables.of(name, file_of(name, ROOT / "models"), given)


def make(wanted: Namespace) -> Path:
    """Make it beside its place, and move it there when it is whole. Returns the place.

    Raises: Refused, Contradiction, ModelError, Rotten, OSError.
    """
    alone = wanted.to is not None
    place: Path = wanted.to.resolve() if alone else ROOT / wanted.chapter / wanted.name
    answers: dict[str, object] = {"name": wanted.name, "kind": wanted.kind, "project": alone}
    answers["chapter"] = project.CHAPTER if alone else wanted.chapter
    if wanted.kind == "single":
        about = model_of(wanted)
        own = alone or not about.is_iris or wanted.prediction_sample is not None
        answers |= about.answers() | {"own_schema": own}
    files = render.template(wanted.kind, own_schema=bool(answers.get("own_schema")), project=alone)
    needs = project.Needs.of(wanted.kind, answers)
    answers |= {"secrets": needs.secrets, "exports": needs.exports}
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".new-") as folder:
        workshop, made = Path(folder) / "template", Path(folder) / wanted.name
        workshop.mkdir()
        render.render(files, answers, workshop, made)
        if alone:
            project.complete(made, needs)
        tidy(made, made if alone else ROOT)
        if alone:
            project.keep(made)
        made.replace(place)
    return place


def main() -> None:
    """Exit code 1 and a sentence if it cannot be made."""
    wanted = arguments()
    try:
        check(wanted)
        place = make(wanted)
    except (StartupError, OSError) as error:
        sys.exit(f"Cannot make it: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped: nothing was made.")
    shown = place if wanted.to else place.relative_to(ROOT)
    print(f"Made {shown}. Try: cd {shown} && make test run")  # noqa: T201


if __name__ == "__main__":
    main()
