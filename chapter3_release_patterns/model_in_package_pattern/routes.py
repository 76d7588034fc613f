"""The routes that say what is installed, and which of it answers."""

from collections.abc import Sequence

from typing_extensions import TypedDict

from mlsys import iris
from mlsys.app import Service
from mlsys.iris_service import PREDICTION, Description, Predictor, describe
from mlsys.openapi import example


class Listed(TypedDict):
    """One installed model package. `version` is the package's, `sha256` the model file's."""

    name: str
    distribution: str
    version: str
    sha256: str
    requires: list[str]
    default: bool


class Metadata(Description):
    """What goes in, what comes out, and which package's model answers."""

    model: Listed


PACKAGE = Listed(
    name="iris_svc",
    distribution="mlsys-model-iris-svc",
    version="1.1.1+iris.2026.11",
    sha256="22d401aeed3699b6d4be3e7705324b832675a881e62c0bf2167035edd017bbe8",
    requires=["onnxruntime<2,>=1.31"],
    default=True,
)


def add_description(service: Service, listed: Sequence[Listed], predictor: Predictor) -> None:
    """The routes that say which models there are, and what the default one takes and gives."""

    @service.get("/models", responses=example([PACKAGE]))
    async def models() -> list[Listed]:
        """The model packages that are installed, all of which are served under /v2/models by their names."""
        return list(listed)

    @service.get("/metadata", responses=example(Metadata(**describe(PREDICTION), model=PACKAGE)))
    async def metadata() -> Metadata:
        """Shapes and types of input and output, with samples, and the package of the default model."""
        default = next(one for one in listed if one["default"])
        return Metadata(**describe(predictor.probabilities(iris.SAMPLE[0])), model=default)
