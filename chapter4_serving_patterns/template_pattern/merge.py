"""A three-way merge of files: what was, what a project has made of it, and what the template has."""

import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from mlsys.errors import StartupError


class NoUpdate(StartupError):
    """The project cannot be updated."""


class Outcome(NamedTuple):
    """What became of the project's files, by their paths; those in conflict wait for a person.

    left: those where the template's change has no place: the project has no such file, or has changed one that goes.
    """

    updated: list[str]
    conflicts: list[str]
    left: list[str]


def merge(base: str, mine: str, theirs: str) -> tuple[str, bool]:
    """The text with the changes of both since `base`, and whether some are in conflict."""
    if mine in (base, theirs):
        return theirs, False
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("project", "before", "template")]
        for file, text in zip(files, (mine, base, theirs), strict=True):
            file.write_text(text)
        labels = [word for file in files for word in ("-L", file.name)]
        command = ["git", "merge-file", "--stdout", *labels, *map(str, files)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not 0 <= done.returncode < 128:
        raise NoUpdate(f"git merge-file failed: {done.stderr.strip()}")
    return done.stdout, done.returncode > 0


def apply(place: Path, before: dict[str, str], after: dict[str, str]) -> Outcome:
    """Merge what the template has changed from `before` to `after` into a project.

    A file that the project has deleted stays deleted; one that the template has no more goes if nobody changed it.
    """
    outcome = Outcome([], [], [])
    changed = [path for path in sorted(before.keys() | after.keys()) if before.get(path) != after.get(path)]
    texts = {path: _text(place / path) for path in changed}  # all before the first is written: one may be refused
    for path, mine in texts.items():
        file, old, new = place / path, before.get(path), after.get(path)
        if mine == new:
            continue
        if (old is not None and mine is None) or (new is None and mine != old):
            outcome.left.append(path)
            continue
        if new is None:
            file.unlink()
            outcome.updated.append(path)
            continue
        text, conflict = (new, False) if mine is None else merge(old or "", mine, new)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        (outcome.conflicts if conflict else outcome.updated).append(path)
    return outcome


def _text(file: Path) -> str | None:
    """A project's file, None if it is not there. Raises: NoUpdate if it cannot be merged as a text of its own."""
    if file.is_symlink():
        raise NoUpdate(f"{file} is a link, and what it points to is not the project's to change: make it a file.")
    try:
        return file.read_text() if file.exists() else None
    except UnicodeDecodeError as error:
        raise NoUpdate(f"{file} is no text in UTF-8 ({error}): save it as one.") from None
