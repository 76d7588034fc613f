"""schemathesis, from the server's own OpenAPI document: no server error, and no answer that the document lacks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import given, settings
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.schemas import OpenApiSchema

from mlsys.server.app import create_app
from mlsys.server.settings import Settings

SERVED = ["text", "iris_svc"]
"""Not of several inputs (no generator hits upon one of each), nor of integers (to a schema 1.0 is one)."""


@pytest.fixture(scope="module")
def api(networks: Path) -> Iterator[OpenApiSchema]:
    folders = tuple(networks / name for name in SERVED)
    service = create_app(Settings(models=folders, access_log=False))
    yield schemathesis.openapi.from_asgi("/openapi.json", service)
    service.engine.close()


def test_the_document_is_valid_openapi_and_has_every_model(api: OpenApiSchema) -> None:
    api.validate()
    paths = {result.ok().path for result in api.get_all_operations() if isinstance(result, Ok)}
    assert {f"/v2/models/{name}/infer" for name in SERVED} <= paths
    assert {"/v2", "/v2/health/live", "/v2/repository/index"} <= paths


@pytest.mark.parametrize("mode", GenerationMode)
def test_every_operation_answers_as_the_document_says(api: OpenApiSchema, mode: GenerationMode) -> None:
    operations = [result.ok() for result in api.get_all_operations() if isinstance(result, Ok)]
    under_v2 = [
        operation for operation in operations if operation.path.startswith("/v2") and "unload" not in operation.path
    ]
    assert len(under_v2) > 15
    for operation in under_v2:
        if mode.is_positive or operation.body:  # without a body there is nothing to send that is wrong

            @given(operation.as_strategy(generation_mode=mode))
            @settings(max_examples=25 if operation.body else 2, deadline=None, derandomize=True)
            def fuzz(case: schemathesis.Case) -> None:  # type: ignore[type-arg]
                case.call_and_validate()

            fuzz()
