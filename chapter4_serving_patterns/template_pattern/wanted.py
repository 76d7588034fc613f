"""What a person wants made, and what of it is refused before anything is."""

import keyword
import re
import sys
from argparse import Namespace
from pathlib import Path

from mlsys.catalogue import ROOT
from mlsys.errors import StartupError
from mlsys.train import Parser

from .markup import KINDS
from .render import CHAPTER
from .variables import BOOK

DESCRIPTION = "Make a pattern in a chapter of this repository, or with to=DIRECTORY a project of its own."
LONGEST = 40  # of a name: it becomes the name of a namespace and of an image, and stands in lines of code


class Refused(StartupError):
    """The pattern or project cannot be made; nothing was."""


def arguments() -> Namespace:
    """What a person wants. Exits with 2 and a sentence for an unknown option."""
    options = Parser(prog="make new", description=DESCRIPTION, allow_abbrev=False)
    options.add_argument("--name", required=True, help="snake_case; of the folder, the image and the namespace")
    options.add_argument("--kind", default="single", help=f"one of {', '.join(KINDS)}")
    options.add_argument("--model", help="iris_svc, or another of those that `python -m mlsys.train` builds")
    options.add_argument("--chapter", default=CHAPTER, help="folder of the new pattern")
    options.add_argument("--here", type=Path, default=Path(), help="what a relative --to is relative to")
    options.add_argument("--to", type=Path, help="folder of a project of its own, not there yet or empty")
    for name in BOOK:
        options.add_argument(f"--{name}", help="else read from the model; if it contradicts the model, it is refused")
    found = options.parse_args()
    found.to = found.to and (found.here / found.to).absolute()
    return found


def check(wanted: Namespace) -> None:
    """Raises: Refused if the name, kind, chapter or folder will not do."""
    _check_name(wanted.name)
    if wanted.kind not in KINDS:
        raise Refused(f"kind={wanted.kind} is not known: choose {' or '.join(KINDS)}.")
    if wanted.model == "all":
        raise Refused("model=all is not one model: choose one.")
    if wanted.kind != "single":
        _check_only_name(wanted)
    if wanted.to is not None:
        _check_folder(wanted.to)
        return
    chapters = sorted(path.parent.name for path in ROOT.glob("chapter*/README.md"))  # which lists its patterns
    if wanted.chapter not in chapters:
        raise Refused(f"chapter={wanted.chapter} is not known: choose one of {', '.join(chapters)}.")
    if taken := [path.parent for path in ROOT.glob("chapter*/*/__init__.py") if path.parent.name == wanted.name]:
        raise Refused(f"name={wanted.name} is taken by {taken[0].relative_to(ROOT)}: choose another.")


def _check_name(name: str) -> None:
    """Raises: Refused if it cannot be the name of a package and of a namespace."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or len(name) > LONGEST or keyword.iskeyword(name):
        raise Refused(f"name={name} will not do: use up to {LONGEST} small letters, digits and _, as in my_pattern.")
    if name in sys.stdlib_module_names:
        raise Refused(f"name={name} is a module of Python's own: choose another.")
    if name == "default" or name.startswith("kube_"):
        raise Refused(f"name={name} would be a namespace of Kubernetes' own: choose another.")


def _check_folder(folder: Path) -> None:
    """Raises: Refused if no project can be made there, or it could not be used."""
    if re.search(r"\s", str(folder.resolve())):
        raise Refused(f"to={folder} has a space in its path, where make cannot work: name another folder.")
    if folder.resolve().is_relative_to(ROOT):
        raise Refused(f"to={folder} is in this repository: name a folder outside, or leave to= out for a pattern.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"to={folder} is not an empty folder: name one that is, or that is not there yet.")


def _check_only_name(wanted: Namespace) -> None:
    """Raises: Refused if a kind that is a pattern under another name is to differ in more than that."""
    for option in ("model", *BOOK):
        if getattr(wanted, option) is not None:
            raise Refused(
                f"{option}={getattr(wanted, option)} works with kind=single alone: leave it out, and change what "
                f"kind={wanted.kind} makes, which is {KINDS[wanted.kind]} under another name."
            )
