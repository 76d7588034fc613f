"""Steps of a pipeline: what was done once with the same inputs is not done again, and what may pass is tried again.

A step's folder is named by a digest of all that its result comes from: its parameters, the code that does it, what the
steps before it wrote, and the version of a library that counts. `done.json` in it lists what it wrote, and comes last:
a step that was killed is found unfinished, and goes on with what it left in its folder.
"""

import ast
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Inputs = dict[str, str | int | float | bool | None]

ATTEMPTS = 3


class Passing(Exception):
    """A failure that may be gone next time: a connection that was cut, a busy server. Its text is a sentence."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: `work` writes into the folder that it is given, and may find there what it left when it was killed.

    sources: files of code that the result comes from; what is written for people in them does not count. inputs:
    everything else that the result comes from.
    """

    name: str
    work: Callable[[Path], None]
    sources: tuple[Path, ...]
    inputs: Inputs = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Digest of all that the result comes from."""
        code = [_meaning(source.read_text()) for source in self.sources]
        return _sha256(json.dumps([self.inputs, code], sort_keys=True).encode())[:16]


def run(
    step: Step, root: Path, *, say: Callable[[str], None], sleep: Callable[[float], None] = time.sleep
) -> tuple[Path, Inputs]:
    """Do the step if it is not done, and return its folder and the sha256 of each file in it, as inputs of later steps.

    Raises: Passing when the last attempt failed so; what else the step raises, at once.
    """
    folder = root / f"{step.name}-{step.key}"
    if found := _done(folder):
        say(f"{step.name}: unchanged")
        return folder, found
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    _attempts(step, folder, say, sleep)
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    written: Inputs = {path.name: _sha256(path.read_bytes()) for path in files}
    temporary = folder / ".done.json"
    temporary.write_text(json.dumps(written, indent=1))
    temporary.replace(folder / "done.json")
    say(f"{step.name}: done in {time.monotonic() - started:.0f} s")
    return folder, written


def digest(source: Path) -> str:
    """Sha256 of a file, or of the names and contents in a folder."""
    found = hashlib.sha256()
    files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    for path in files:
        with path.open("rb") as file:
            found.update(json.dumps([path.relative_to(source).as_posix(), path.stat().st_size]).encode())
            while block := file.read(1 << 20):
                found.update(block)
    return found.hexdigest()


def _attempts(step: Step, folder: Path, say: Callable[[str], None], sleep: Callable[[float], None]) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            step.work(folder)
            return
        except Passing as error:
            if attempt == ATTEMPTS:
                raise
            say(f"{step.name}: {error} Trying again, {attempt + 1} of {ATTEMPTS}.")
            sleep(2.0**attempt)


def _meaning(source: str) -> str:
    """The code without comments, layout and docstrings: a better sentence is no reason to train for an hour."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [line for line in body if not _is_text(line)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(line: ast.AST) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


def _done(folder: Path) -> Inputs:
    """What the finished step wrote; nothing if it is not finished, or a file is no more what it was."""
    try:
        written: Inputs = json.loads((folder / "done.json").read_text())
        return written if all(_sha256((folder / name).read_bytes()) == sha for name, sha in written.items()) else {}
    except (OSError, ValueError):
        return {}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
