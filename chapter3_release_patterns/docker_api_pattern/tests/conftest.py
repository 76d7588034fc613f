"""The service in this process, and a machine to release it to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlsys.app import Service

from ..app import create_app
from ..settings import Settings
from .machine import Machine


@pytest.fixture(scope="session")
def app(models: Path) -> Service:
    return create_app(Settings(model_path=models / "iris_perceptron" / "model.onnx", access_log=False))


@pytest.fixture
def machine(tmp_path: Path, models: Path) -> Iterator[Machine]:
    """A machine on which nothing was ever released."""
    machine = Machine(tmp_path, models)
    yield machine
    machine.close()
