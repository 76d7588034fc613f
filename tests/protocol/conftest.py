"""The servers under test, and the ways to them."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from tritonclient.utils import InferenceServerException

from . import servers
from .deviations import MLSERVER
from .fronts import Front
from .networks import write_all
from .servers import Running

OTHERWISE = (AssertionError, InferenceServerException, grpc.RpcError, KeyError, ValueError, pytest.fail.Exception)
"""How a deviation shows; a server that does not start is none."""
SERVERS = ["ours", pytest.param("mlserver", marks=pytest.mark.soak)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What MLServer does otherwise is expected of it, with the reason."""
    for item in items:
        for pattern, instead in MLSERVER.items():
            if "[mlserver" in item.name and re.search(pattern, item.name):
                item.add_marker(pytest.mark.xfail(reason=instead, strict=True, raises=OTHERWISE))


@pytest.fixture(scope="package")
def networks(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of model folders that every server serves: the small networks, and the iris model."""
    folder = tmp_path_factory.mktemp("networks")
    write_all(folder)
    (folder / "iris_svc").mkdir()
    (folder / "iris_svc" / "model.onnx").write_bytes((models / "iris_svc" / "model.onnx").read_bytes())
    return folder


@pytest.fixture(scope="package", params=SERVERS)
def server(
    request: pytest.FixtureRequest, networks: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Ours, then MLServer. A test leaves it as it was."""
    start: Callable[[Path, Path], Running] = getattr(servers, request.param)
    running = start(networks, tmp_path_factory.mktemp("server"))
    yield running
    running.kill()


@pytest.fixture(params=["rest-binary", "rest-json", "grpc"])
def front(request: pytest.FixtureRequest, server: Running) -> Iterator[Front]:
    """tritonclient, over each of its ways."""
    front = Front(request.param, server.grpc_target if request.param == "grpc" else server.rest_target)
    yield front
    front.close()
