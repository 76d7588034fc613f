"""What all stages have in common as services, apart from the one route that makes them a stage."""

from typing import Any

import msgspec

from mlsys.app import Service
from mlsys.model import Model
from mlsys.openapi import example

from .interface import Declared
from .settings import Settings


def create_stage(declared: Declared, settings: Settings, model: Model | None = None) -> Service:
    """A service that says what it gives and needs (GET /stage). With a model it is ready when that one answers."""
    title = f"vertical_microservice_pattern: {declared.gives}"
    service = Service(title=title, description=f"The stage that finds: {declared.gives}.", settings=settings)
    said = msgspec.to_builtins(declared)

    @service.get("/stage", responses=example(said))
    async def declaration() -> dict[str, Any]:
        """What this stage gives, what it must be told, and its model."""
        return said  # type: ignore[no-any-return]  # a Struct's builtins are a dict

    if model:
        service.metrics.show_model(model.metadata.name, model.sha256)

        async def model_answers() -> None:
            model.warm_up()

        service.ready_when("model", model_answers)
    return service


def about(model: Model) -> dict[str, str]:
    """Which model it is."""
    return {"name": model.metadata.name, "sha256": model.sha256}
