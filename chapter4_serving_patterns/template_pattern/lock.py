"""The lock of a project: hashed lines of this checkout's lock, without addresses, for what it needs of it."""

import hashlib
import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mlsys.catalogue import ROOT

DEVELOPING = (
    "honcho",
    "psutil",
    "rich",
    "pillow",
    "pytest",
    "hypothesis",
    "mypy",
    "ruff",
    "types-psutil",
    "types-protobuf",
)
"""What runs, tests and checks the project on a machine, with all that these need; images have none of it."""
BEYOND = ("kubernetes-validate", "matplotlib", "pyyaml", "types-pyyaml")
"""The same for patterns with more than one process: their demos' plots, and tests that read their manifests."""


def write(folder: Path, wheel: Path, categories: list[str]) -> None:
    """Write what an image installs, packages.txt and the categories, and developing.txt, out of this checkout's lock.

    A project that needs categories has in developing.txt also the servers that `make run` starts.
    """
    lines = _locked()
    installed = {name: _lines(name) for name in ["packages", *categories]}
    known = {_name(line) for category in installed.values() for line in category}
    more = {_name(line) for line in _lines("local")} | closure(BEYOND) if categories else set()
    developing = [lines[name] for name in sorted((closure(DEVELOPING) | more) - known)]
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    installed["packages"].insert(0, f"./vendor/{wheel.name} --hash=sha256:{digest}")
    folder.mkdir()
    for name, content in {**installed, "developing": developing}.items():
        (folder / f"{name}.txt").write_text("\n".join(content) + "\n")


def closure(names: tuple[str, ...]) -> set[str]:
    """The packages, and all that they require here: a lock has the names, and not which needs which."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            needs = map(Requirement, metadata.requires(name) or [])
            waiting += [
                canonicalize_name(r.name) for r in needs if r.marker is None or r.marker.evaluate({"extra": ""})
            ]
    return found


def _locked() -> dict[str, str]:
    """The lock's line of each package."""
    categories = sorted(path.stem for path in (ROOT / "requirements").glob("*.txt"))
    return {_name(line): line for category in categories for line in _lines(category)}


def _lines(category: str) -> list[str]:
    """The lock's lines of one category, without the comment before them."""
    return (ROOT / "requirements" / f"{category}.txt").read_text().splitlines()[1:]


def _name(line: str) -> str:
    return canonicalize_name(re.split(r"[=\[;]", line, maxsplit=1)[0])
