"""Whether a model file is still what its inputs would give: a stamp beside it, checked without any library."""

import hashlib
import json
import os
import sys
from pathlib import Path

from .catalogue import ROOT

SOURCES = ("dataset", "evaluation", "export", "iris", "metadata", "project")
"""Modules of this package that a model file's bytes come from."""
CATEGORIES = ("default", "training")
"""Sections of the lock whose packages they come from."""


def unchanged(model: Path, trainer: str, test_size: float | None) -> bool:
    """Whether the file was made from what is there now: code, locked packages, Python and share of test flowers.

    trainer: dotted name of the project's module. test_size: None takes the share that the file was made with.
    A file or stamp that is missing or damaged is not unchanged.
    """
    try:
        stamp = json.loads(beside(model).read_text())
        share = stamp["test_size"] if test_size is None else test_size
        found = _sha256(model.read_bytes())
    except (OSError, ValueError, TypeError, KeyError):
        return False
    return bool(stamp == _stamp(found, trainer, share))


def save(model: Path, content: bytes, trainer: str, test_size: float) -> None:
    """Write the file, then its stamp; a reader finds the old file or the new one, and nothing else.

    Raises: OSError if the folder cannot be written.
    """
    model.parent.mkdir(parents=True, exist_ok=True)
    replace(model, content)
    stamp = _stamp(_sha256(content), trainer, test_size)
    replace(beside(model), json.dumps(stamp, indent=1).encode())


def _stamp(model_sha256: str, trainer: str, test_size: float) -> dict[str, str | float]:
    return {"inputs": _inputs(trainer), "model": model_sha256, "python": sys.version.split()[0], "test_size": test_size}


def _inputs(trainer: str) -> str:
    """Hex digest of the code and the locked packages that a model file's bytes come from."""
    files = [ROOT / "mlsys" / f"{name}.py" for name in SOURCES] + [ROOT / f"{trainer.replace('.', '/')}.py"]
    lock = json.loads((ROOT / "Pipfile.lock").read_text())
    parts = [_sha256(file.read_bytes()) for file in files] + [lock[category] for category in CATEGORIES]
    return _sha256(json.dumps(parts, sort_keys=True).encode())


def replace(path: Path, content: bytes) -> None:
    """Write a file in one piece: a reader, or who is killed here, finds the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")  # beside it: renames are atomic in one file system
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def beside(model: Path) -> Path:
    """Where the stamp of a model file is."""
    return model.with_suffix(".stamp")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
