"""A model file that was trained here, made a version in the registry: what `--registry URL` does.

The project is the folder of its trainer, the model has the file's own name, and the version follows from what is there:
a file that is there is no new version; another one is the next patch of the last. The part after the hyphen names the
data, by the first word of the project's name, and the split: files learnt from the same data have the same number.
"""

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr

from . import artefact, metadata, network
from .catalogue import ROOT
from .errors import Conflict, ModelError, ServiceError, StartupError
from .registry import Registry, Release

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)-([A-Za-z][A-Za-z0-9-]*)\.(\d+)", re.ASCII)
_ATTEMPTS = 5
"""Times that a name is chosen anew which another training took meanwhile."""


class Registered(NamedTuple):
    """A version in the registry, and whether it was made now."""

    release: Release
    new: bool


def registry(url: str) -> Registry:
    """The registry that answers at the URL, with the token in REGISTRY_TOKEN.

    Raises: SystemExit with one sentence if it cannot be used.
    """
    token = os.environ.get("REGISTRY_TOKEN")
    try:
        found = Registry(url, SecretStr(token) if token else None)
        found.check()
    except (ServiceError, StartupError) as error:
        raise SystemExit(str(error)) from error
    return found


def told(there: Registry, model: Path) -> str:
    """Register the file, and what was done as a sentence's end. Raises: SystemExit with one sentence if it failed."""
    try:
        done = register(there, model)
    except (ServiceError, ModelError) as error:
        raise SystemExit(f"Model {model} is written, and not registered: {error}") from error
    what = "registered" if done.new else "there already"
    return f"{what} as {done.release.model} {done.release.version} in {there.url}"


def register(there: Registry, model: Path) -> Registered:
    """Have the file in the registry as a version. Raises: ModelError if it has no document; what a Registry raises."""
    content = network.read(model)
    documents = network.documents(content)
    if len(documents) != 1:
        raise ModelError(f"it has {len(documents)} `{metadata.PROPERTY}` metadata properties instead of one")
    document = metadata.decode(documents[0])
    sha256 = artefact.digest(model)
    project = document.trainer.split(".")[-2]
    model_id = there.model_id(project, document.name)
    for attempt in range(_ATTEMPTS):  # another training may take the name that follows
        known = list(there.versions(model_id))
        if same := [release for release in known if release.sha256 == sha256]:
            return Registered(same[0], new=False)
        if not attempt:
            there.upload(model)
        name = following(known, project.partition("_")[0], document.data_sha256)
        try:
            return Registered(there.register(model_id, name, sha256, code_revision=revision()), new=True)
        except Conflict as error:
            refused = error
    raise refused


def following(known: Iterable[Release], data: str, data_sha256: str) -> str:
    """Name of the version that comes after the known ones: `1.0.3-iris.2` after `1.0.2-iris.1` with other data."""
    numbers = [(1, 0, -1)]
    splits: dict[str | None, int] = {}
    for release in known:
        if parts := _VERSION.fullmatch(release.version):
            numbers.append((int(parts[1]), int(parts[2]), int(parts[3])))
            if parts[4] == data:
                splits[release.data_sha256] = max(int(parts[5]), splits.get(release.data_sha256, 0))
    major, minor, patch = max(numbers)
    split = splits.get(data_sha256) or max(splits.values(), default=0) + 1
    return f"{major}.{minor}.{patch + 1}-{data}.{split}"


def revision(root: Path = ROOT) -> str | None:
    """The commit that the code is at, with `-dirty` where it was changed since; None where there is no git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
