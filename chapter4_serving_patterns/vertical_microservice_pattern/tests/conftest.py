"""The chain in this process, its stages in the same, on the real models."""

from pathlib import Path

import pytest

from mlsys.app import Service

from ..app import add_predictions, make_chain
from ..settings import Settings
from .stages import local, paths


@pytest.fixture(scope="session")
def app(models: Path) -> Service:
    """The routes that predict. /metadata and /health/all ask services, which there are in test_services.py."""
    settings = Settings(access_log=False, **paths(models))
    service = Service(title="test", description="test", settings=settings)
    stages = local(settings)
    add_predictions(service, make_chain(service, stages, settings), [stage.name for stage in stages])
    return service
