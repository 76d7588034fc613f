"""The proxy in this process, in front of stand-ins that have the real models."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from mlsys.iris import LABELS, Flower
from mlsys.model import Model

from ..service import SpeciesModel
from ..settings import Settings
from ..stand_in import WELL, StandIn


class Answering:
    """What a real model answers to a body, as JSON; to an empty one, what it says of a sample."""

    def __init__(self, path: Path) -> None:
        self.model = SpeciesModel(Model.load(path))

    def __call__(self, body: bytes) -> bytes:
        flower = msgspec.json.decode(body, type=Flower).data[0] if body else [5.1, 3.5, 1.4, 0.2]
        return msgspec.json.encode({"prediction": self.model.probabilities(flower)})


@pytest.fixture(scope="session")
def answering(models: Path) -> dict[str, Answering]:
    return {name: Answering(models / f"iris_binary_{name}" / "model.onnx") for name in LABELS}


@pytest.fixture(scope="module")
def _started(answering: dict[str, Answering]) -> Iterator[dict[str, StandIn]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(StandIn(name, answering[name])) for name in LABELS}


@pytest.fixture
def services(_started: dict[str, StandIn]) -> Iterator[dict[str, StandIn]]:
    """One of each species, well at the beginning of each test."""
    yield _started
    for one in _started.values():
        one.down()
        one.up()
        one.way, one.asked = WELL, 0


@pytest.fixture
def settings(services: dict[str, StandIn]) -> Settings:
    return Settings(
        access_log=False,
        branch_timeout_s=0.3,
        branch_wait_s=0.05,
        setosa_url=services["setosa"].url,
        versicolor_url=services["versicolor"].url,
        virginica_url=services["virginica"].url,
    )
