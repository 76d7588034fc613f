"""Models that the repository ships, because training them takes an hour: found, verified, copied to where models are.

A training project keeps them in pretrained/<name>/model.onnx, with their digests in pretrained/SHA256SUMS, as the
program sha256sum writes and checks them.
"""

import functools
import hashlib
import json
from pathlib import Path

from . import catalogue, stamp

FOLDER, SUMS = "pretrained", "SHA256SUMS"


@functools.cache
def models(root: Path = catalogue.ROOT) -> dict[str, Path]:
    """The shipped files by the names of their models."""
    found = [path for project in catalogue.projects(root) for path in project.directory.glob(f"{FOLDER}/*/model.onnx")]
    return {path.parent.name: path for path in sorted(found)}


def copy(shipped: Path, model: Path) -> str:
    """Have the shipped file at `model`, and say what was done: unchanged, copied, or kept.

    A model that a person has trained there (`keep`) is kept: to train it again takes an hour, to remove it a second.

    Raises: SystemExit with one sentence if the shipped file is not the one that was committed. OSError if `model`
    cannot be written.
    """
    content = shipped.read_bytes()
    lines = (line.split() for line in (shipped.parents[1] / SUMS).read_text().splitlines())
    sums = {name: digest for digest, name in lines}
    found, expected = hashlib.sha256(content).hexdigest(), sums.get(f"{shipped.parent.name}/{shipped.name}")
    if found != expected:
        raise SystemExit(f"Shipped model {shipped} has the sha256 {found} instead of {expected}: restore it from git.")
    there = model.read_bytes() if model.exists() else b""
    if there == content:
        return "unchanged"
    if there and _kept(model) == hashlib.sha256(there).hexdigest():
        return f"kept as trained here (remove {model.parent.parent.name}/{model.parent.name}/ to have the shipped one)"
    model.parent.mkdir(parents=True, exist_ok=True)
    stamp.replace(model, content)
    stamp.beside(model).unlink(missing_ok=True)
    return "copied from what is shipped"


def write_sums(folder: Path) -> None:
    """Write the digests of all models in a folder `pretrained`."""
    files = sorted(folder.glob("*/model.onnx"))
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.parent.name}/{file.name}\n" for file in files]
    (folder / SUMS).write_text("".join(lines))


def keep(model: Path, content: bytes) -> None:
    """Write a model that was trained here; from now on `copy` keeps it.

    Raises: OSError if it cannot be written.
    """
    model.parent.mkdir(parents=True, exist_ok=True)
    stamp.replace(model, content)
    mark = {"trained": hashlib.sha256(content).hexdigest()}
    stamp.replace(stamp.beside(model), json.dumps(mark).encode())


def _kept(model: Path) -> str | None:
    try:
        mark: str | None = json.loads(stamp.beside(model).read_text()).get("trained")
    except (OSError, ValueError):
        return None
    return mark
