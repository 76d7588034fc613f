"""The small networks of the protocol's tests, each in its folder."""

from pathlib import Path

import pytest

from tests.protocol import networks


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of model folders; no test may change them."""
    folder = tmp_path_factory.mktemp("small")
    networks.write_all(folder)
    return folder
