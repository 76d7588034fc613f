"""Wheels of two releases of one model, throw-away environments to install them into, and hand-made installations."""

import hashlib
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlsys.catalogue import ROOT

from ..releases import Release
from ..wheel import build

PACKAGE = "chapter3_release_patterns.model_in_package_pattern"
OLD, NEW = Release("iris_svc", "1.1.1+iris.2026.11"), Release("iris_svc", "1.2.0+iris.2026.12")


@pytest.fixture(scope="session")
def trained_anew(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with an iris_svc that was trained on more flowers."""
    folder = tmp_path_factory.mktemp("trained")
    command = [sys.executable, "-m", "mlsys.train", "iris_svc", "--test_size", "0.2", "--output", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture(scope="session")
def wheels(models: Path, trained_anew: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Release, Path]:
    """The wheels of OLD and NEW, in one folder."""
    folder = tmp_path_factory.mktemp("wheels")
    files = {OLD: models / "iris_svc" / "model.onnx", NEW: trained_anew / "iris_svc" / "model.onnx"}
    return {release: build(release, file, folder) for release, file in files.items()}


class Environment:
    """A virtual environment with nothing of its own, which sees the libraries of the one that the tests run in."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.python = folder / "bin" / "python"
        (site,) = folder.glob("lib/python*/site-packages")
        (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
        self.site = site

    def pip(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run pip in it, without an index."""
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "--disable-pip-version-check", *arguments]
        settings = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
        return subprocess.run(pip, env=os.environ | settings, capture_output=True, text=True, check=False, timeout=60)

    def run(self, module: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a module of the pattern in it."""
        command = [str(self.python), "-m", f"{PACKAGE}.{module}", *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
        )


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "environment")


class Site:
    """A folder of installed distributions, written by hand: what pip would have written, or what it never would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(
        self,
        name: str,
        content: bytes,
        *,
        version: str = "1.0.0+test",
        distribution: str = "",
        requires: tuple[str, ...] = (),
        code: str | None = '"""Data."""',
        entry: str = "",
    ) -> Path:
        """Install a package of the model `name`; the folder of its files. Without code it has no __init__.py."""
        distribution = distribution or f"mlsys-model-{name.replace('_', '-')}"
        module = distribution.replace("-", "_")
        about = self.folder / f"{module}-{version}.dist-info"
        files = self.folder / module
        for folder in (about, files):
            folder.mkdir(parents=True, exist_ok=True)
        head = [f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}"]
        (about / "METADATA").write_text("\n".join([*head, *(f"Requires-Dist: {need}" for need in requires)]) + "\n")
        (about / "entry_points.txt").write_text(f"[mlsys.models]\n{name} = {entry or module}\n")
        claim = {
            "name": name,
            "version": version,
            "sha256": hashlib.sha256(content).hexdigest(),
            "size_bytes": len(content),
        }
        (files / "model.json").write_text(json.dumps(claim))
        (files / "model.onnx").write_bytes(content)
        if code is not None:
            (files / "__init__.py").write_text(code)
        return files


def forget() -> None:
    """Forget what was imported of model packages: another installation of the same name comes next."""
    for module in [name for name in sys.modules if name.startswith("mlsys_model_")]:
        del sys.modules[module]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty folder of installations, first on this process's path."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield Site(folder)
    forget()


@pytest.fixture
def content(models: Path) -> bytes:
    """The bytes of a sound model."""
    return (models / "iris_svc" / "model.onnx").read_bytes()
