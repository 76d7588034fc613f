"""Bring what has changed in the template since into a project made earlier: `make update to=DIRECTORY`.

A three-way merge, file by file: what the project was made as (`SNAPSHOT`, which it keeps), what it is now, and what it
would be made as today. What only the template has changed is taken, what only the project has changed is kept, and
where both have changed the same lines, both stand there between git's markers. Its models stay as they are.
"""

import gzip
import json
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import yaml

from mlsys.errors import StartupError
from mlsys.train import Parser

from . import lock, project, render, wheel
from .markup import KINDS
from .merge import NoUpdate, Outcome, apply
from .project import SNAPSHOT
from .tidy import tidy

ANSWERS = ".copier-answers.yml"


def update(place: Path) -> Outcome:
    """Update a project to what this checkout makes today. Raises: NoUpdate, StartupError, OSError."""
    before, answers = _read(place)
    kind = str(answers["kind"])
    files = render.template(kind, own_schema=bool(answers.get("own_schema")), project=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".update-") as folder:
        workshop, made = Path(folder) / "template", Path(folder) / "made"
        workshop.mkdir()
        render.render(files, answers, workshop, made)
        built = wheel.build(made / "vendor")
        lock.write(made / "requirements", built, project.Needs.of(kind, answers).categories)
        tidy(made, made)
        outcome = apply(place, before, project.snapshot(made))
        for old in (place / "vendor").glob("mlsys-*.whl"):
            old.unlink()
        built.replace(place / "vendor" / built.name)
        project.keep(made)
        (made / SNAPSHOT).replace(place / SNAPSHOT)
    return outcome


def _read(place: Path) -> tuple[dict[str, str], dict[str, object]]:
    """What the project was made as, and with which answers. Raises: NoUpdate."""
    try:
        before: dict[str, str] = json.loads(gzip.decompress((place / SNAPSHOT).read_bytes()))
        answers: dict[str, object] = yaml.safe_load((place / ANSWERS).read_text())
        if not isinstance(before, dict) or answers["kind"] not in KINDS:
            raise ValueError(f"{ANSWERS} and {SNAPSHOT} are not what it writes")
    except (OSError, EOFError, ValueError, LookupError, TypeError, zlib.error, yaml.YAMLError) as error:
        raise NoUpdate(f"to={place} is no project that `make new` made: {error}.") from None
    if _git(place, "status", "--porcelain") != "" or not _git(place, "ls-files", SNAPSHOT):  # which may be ignored
        raise NoUpdate(f"to={place} is not all committed to git: commit it, so that the update can be undone.")
    return before, answers


def _git(place: Path, *words: str) -> str | None:
    """What git prints there, None if it fails."""
    done = subprocess.run(["git", "-C", str(place), *words], capture_output=True, text=True, check=False)
    return None if done.returncode else done.stdout


def main() -> None:
    """Exit code 1 if it cannot be updated, or a person has to solve conflicts, which are named."""
    options = Parser(prog="make update", description=__doc__, allow_abbrev=False)
    options.add_argument("--here", type=Path, default=Path(), help="what a relative --to is relative to")
    options.add_argument("--to", type=Path, required=True, help="folder of the project")
    given = options.parse_args()
    try:
        outcome = update((given.here / given.to).resolve())
    except (StartupError, OSError) as error:
        sys.exit(f"Cannot update: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped: `git status` there shows whether it had begun to write.")
    for path in outcome.updated:
        print(f"updated {path}")  # noqa: T201
    for path in outcome.left:
        print(f"left    {path}: you have deleted, renamed or changed it, so see what the template has there")  # noqa: T201
    if outcome.conflicts:
        sys.exit(f"Both have changed the same lines of {', '.join(outcome.conflicts)}: look for <<<<<<< there.")


if __name__ == "__main__":
    main()
