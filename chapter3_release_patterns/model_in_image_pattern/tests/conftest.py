"""The service under test, in this process, as of an image that was built with the real model."""

from pathlib import Path

import pytest

from mlsys.app import Service

from .. import identity
from ..app import create_app
from ..settings import Settings


@pytest.fixture(scope="session")
def model(models: Path) -> Path:
    """The image's own model file."""
    return models / "iris_svc" / "model.onnx"


@pytest.fixture(scope="session")
def app(model: Path) -> Service:
    return create_app(Settings(model_path=model, model_sha256=identity.digest(model), access_log=False))
