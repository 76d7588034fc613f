"""The three ways: what publishes a model on one machine, and what brings it to the other, ready to be opened.

Every step is a program of its own, as it would be in a release; its start is in its time.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from ..process import ROOT
from .shelf import Shelf

PATTERNS = "chapter3_release_patterns"
DEADLINE_S = 1800


class Edition(NamedTuple):
    """One generated model: `name` is that of its folder, which holds a model.onnx."""

    name: str
    version: str
    file: Path
    sha256: str


class Way(Protocol):
    """One way to change a model. `fresh` forgets every model on both sides."""

    name: str

    def fresh(self) -> None: ...  # noqa: D102
    def publish(self, edition: Edition) -> int: ...  # noqa: D102  # bytes that left the machine
    def arrive(self, edition: Edition) -> int: ...  # noqa: D102  # bytes that came to the other


def run(command: Sequence[str], **environment: str) -> str:
    """What the program prints. Raises: RuntimeError with its last words if it fails."""
    known = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    path = {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=known | path | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()[-1000:]}")
    return done.stdout


class Load:
    """The model-load pattern: a file and its digest on a server; the pattern's loader, which keeps the model before."""

    name = "load"

    def __init__(self, shelf: Shelf, scratch: Path) -> None:
        self._shelf = shelf
        self._folder = scratch / "loaded"

    def fresh(self) -> None:
        """Forget."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def publish(self, edition: Edition) -> int:
        """Copy the file to the server."""
        there = self._shelf.folder / f"{edition.name}-{edition.version}.onnx"
        shutil.copyfile(edition.file, there)
        there.with_name(f"{there.name}.sha256").write_text(f"{edition.sha256}  {there.name}\n")
        return there.stat().st_size

    def arrive(self, edition: Edition) -> int:
        """Run the loader."""
        self._shelf.reset()
        url = f"{self._shelf.url}/{edition.name}-{edition.version}.onnx"
        loader = [sys.executable, "-m", f"{PATTERNS}.model_load_pattern.loader"]
        run([*loader, "--source", url, "--directory", str(self._folder)])
        return self._shelf.sent


class Package:
    """The model-in-package pattern: a wheel on a server, and pip with its cache."""

    name = "package"

    def __init__(self, shelf: Shelf, scratch: Path) -> None:
        self._shelf = shelf
        self._site, self._cache = scratch / "site", scratch / "pip"

    def fresh(self) -> None:
        """Forget, pip's cache too."""
        for folder in (self._site, self._cache):
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, edition: Edition) -> int:
        """Build the wheel onto the server."""
        wheel = [sys.executable, "-m", f"{PATTERNS}.model_in_package_pattern.wheel"]
        models, release = edition.file.parents[1], f"{edition.name}=={edition.version}"
        run([*wheel, "--models", str(models), "--output", str(self._shelf.folder), release])
        pattern = f"mlsys_model_{edition.name}-{edition.version}-*.whl"
        (built,) = self._shelf.folder.glob(pattern)
        return built.stat().st_size

    def arrive(self, edition: Edition) -> int:
        """Install it in the place of the one that is there."""
        self._shelf.reset()
        shutil.rmtree(self._site, ignore_errors=True)  # --upgrade would leave the metadata of both in a target
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        trusted = ["--trusted-host", self._shelf.url.removeprefix("http://")]  # of others pip caches nothing by http
        where = ["--no-index", "--find-links", self._shelf.url, *trusted, "--target", str(self._site)]
        what = f"mlsys-model-{edition.name.replace('_', '-')}=={edition.version}"
        run([*pip, *where, what], PIP_CACHE_DIR=str(self._cache), PIP_CONFIG_FILE=os.devnull)
        return self._shelf.sent
