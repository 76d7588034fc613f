"""Prep in this process, in front of a stand-in for the model server; and the real model server, in its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlsys import pictures
from mlsys.app import Service
from mlsys.catalogue import ROOT

from ..app import create_app
from ..settings import Settings
from .standin import StandIn


@pytest.fixture(scope="session")
def cat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the sample picture."""
    path = tmp_path_factory.mktemp("pictures") / "cat.png"
    path.write_bytes(pictures.content("cat"))
    return path


@pytest.fixture
def standin() -> Iterator[StandIn]:
    """A model server that does as it is told."""
    server = StandIn()
    yield server
    server.stop()


@pytest.fixture
def app(standin: StandIn, cat: Path) -> Service:
    return create_app(Settings(model_target=standin.target, sample_path=cat, access_log=False))


@pytest.fixture
def serve_models(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """`serve_models(folder, http, grpc)` starts a real model server on the two ports, and does not wait for it."""
    started: list[subprocess.Popen[bytes]] = []

    def start(folder: Path, http: int, grpc: int) -> subprocess.Popen[bytes]:
        options = ["--models", str(folder), "--http", str(http), "--grpc", str(grpc)]
        with (tmp_path / f"pred-{len(started)}.log").open("wb") as log:
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "mlsys.server", *options],
                    cwd=ROOT,
                    env={**os.environ, "LOG_FORMAT": "json"},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
