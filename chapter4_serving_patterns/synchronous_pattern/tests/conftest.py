"""The model server in a process of its own, as the Procfile starts it, on free ports."""

import http.client
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlsys.catalogue import ROOT
from mlsys.ports import free_port
from mlsys.testing import eventually


class ModelServer:
    """A started model server; what it prints goes to `log`."""

    def __init__(self, models: Path, log: Path, rest: int, grpc: int) -> None:
        self.ports = {"rest": rest, "grpc": grpc}
        self.log = log
        options = ["--models", str(models / "cifar10_large"), "--http", str(rest), "--grpc", str(grpc)]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlsys.server", *options],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def target(self, form: str) -> str:
        """host:port of one of the protocol's two forms."""
        return f"127.0.0.1:{self.ports[form]}"

    def is_ready(self) -> bool:
        """Whether /ready says so. Raises: AssertionError with the log if the process has ended."""
        assert self.process.poll() is None, self.log.read_text()
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["rest"], timeout=5)
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def kill(self) -> None:
        """End it at once, and wait for its end."""
        self.process.kill()
        self.process.wait()


StartServer = Callable[..., ModelServer]


@pytest.fixture(scope="module")
def start_server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """`start_server()` starts one on free ports, `start_server(rest=…, grpc=…)` on these; it is ready then."""
    started: list[ModelServer] = []

    def start_server(rest: int = 0, grpc: int = 0) -> ModelServer:
        log = tmp_path_factory.mktemp("server") / "log"
        started.append(ModelServer(models, log, rest or free_port(), grpc or free_port()))
        eventually(started[-1].is_ready, deadline_s=30)
        return started[-1]

    yield start_server
    for server in started:
        server.kill()


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> ModelServer:
    """A model server that the tests of a module share."""
    return start_server()
