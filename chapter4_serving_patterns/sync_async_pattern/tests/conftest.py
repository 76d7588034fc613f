"""The service in this process, between a real model server and a stand-in for the queue."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from mlsys.catalogue import ROOT
from mlsys.ports import free_port

from ..app import create_app
from ..settings import Settings
from .caller import Caller
from .standin import StandIn


class ModelServer:
    """A real model server with one model, in a process of its own."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.http, grpc = free_port(), free_port()
        self.target = f"127.0.0.1:{grpc}"
        options = ["--models", str(folder), "--workers", "1", "--http", str(self.http), "--grpc", str(grpc)]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlsys.server", *options],
                cwd=ROOT,
                env={**os.environ, "LOG_FORMAT": "json"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        """End it now."""
        self.process.kill()
        self.process.wait()


@contextmanager
def model_server(folder: Path, log: Path) -> Iterator[ModelServer]:
    """One, until the end of the block; the service itself waits for it."""
    server = ModelServer(folder, log)
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def small(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """The fast model's server, for all tests that leave it alone."""
    with model_server(models / "cifar10_small", tmp_path_factory.mktemp("small") / "server.log") as server:
        yield server


@pytest.fixture
def own_small(models: Path, tmp_path: Path) -> Iterator[ModelServer]:
    """One of the test's own, to stop and kill."""
    with model_server(models / "cifar10_small", tmp_path / "server.log") as server:
        yield server


@pytest.fixture
def queue() -> Iterator[StandIn]:
    """A queue that does as it is told."""
    standin = StandIn()
    yield standin
    standin.stop()


Serve = Callable[..., Caller]


@pytest.fixture
def serve_here(small: ModelServer, queue: StandIn, models: Path) -> Iterator[Serve]:
    """`serve_here(**settings)` is the service, started, with those settings."""
    with ExitStack() as started:

        def serve(**changes: Any) -> Caller:  # noqa: ANN401  # settings
            values: dict[str, Any] = {
                "fast_target": small.target,
                "slow_target": f"127.0.0.1:{free_port()}",
                "queue_url": queue.url,
                "sample_path": models / "pictures" / "cat.png",
                "queue_wait_s": 0.0,
                "queue_timeout_s": 5.0,  # where lateness is not what is tested: the machine may be busy
                "fast_timeout_s": 10.0,
                "access_log": False,
            }
            return started.enter_context(Caller(create_app(Settings(**(values | changes)))))

        yield serve


@pytest.fixture
def caller(serve_here: Serve) -> Caller:
    """The service with its defaults, which asks the slow model always."""
    return serve_here()
