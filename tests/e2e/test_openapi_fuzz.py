"""schemathesis, from the service's own OpenAPI document: no server error, and no answer that the document lacks."""

from pathlib import Path

import pytest
import schemathesis
from hypothesis import given, settings
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.schemas import OpenApiSchema

from chapter4_serving_patterns.web_single_pattern.app import create_app
from chapter4_serving_patterns.web_single_pattern.settings import Settings

ROUTES = 20
"""Of the Iris service: 9 of its own, and 11 of the Open Inference Protocol."""


@pytest.fixture(scope="module")
def api(models: Path) -> OpenApiSchema:
    service = create_app(Settings(model_path=models / "iris_svc" / "model.onnx", access_log=False))
    return schemathesis.openapi.from_asgi("/openapi.json", service)


def test_the_document_is_valid_openapi(api: OpenApiSchema) -> None:
    api.validate()


@pytest.mark.parametrize("mode", GenerationMode)
def test_every_operation_answers_as_the_document_says(api: OpenApiSchema, mode: GenerationMode) -> None:
    operations = [result.ok() for result in api.get_all_operations() if isinstance(result, Ok)]
    assert len(operations) == ROUTES
    for operation in operations:
        if mode.is_positive or operation.body:  # without a body there is nothing to send that is wrong

            @given(operation.as_strategy(generation_mode=mode))
            @settings(max_examples=200, deadline=None, derandomize=True)
            def fuzz(case: schemathesis.Case) -> None:  # type: ignore[type-arg]
                case.call_and_validate()

            fuzz()
