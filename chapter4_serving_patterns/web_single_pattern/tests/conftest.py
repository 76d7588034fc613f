"""The service under test, in this process, on the real model."""

from pathlib import Path

import pytest

from mlsys.app import Service

from ..app import create_app
from ..settings import Settings


@pytest.fixture(scope="session")
def app(models: Path) -> Service:
    return create_app(Settings(model_path=models / "iris_svc" / "model.onnx", access_log=False))
