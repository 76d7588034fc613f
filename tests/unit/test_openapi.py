from typing import Annotated, Any

import msgspec
import pytest
from fastapi import FastAPI
from typing_extensions import TypedDict

from mlsys import openapi
from mlsys.endpoint import JsonEndpoint


class Question(msgspec.Struct):
    text: Annotated[str, msgspec.Meta(examples=["why"], max_length=5)]


class Reply(TypedDict):
    text: Annotated[str, msgspec.Meta(examples=["because"])]
    certain: bool


async def ask(question: Question) -> Reply:
    """Asks.

    And answers.
    """
    return {"text": question.text, "certain": True}


async def order(question: Question, *, request_key: Annotated[str, msgspec.Meta(max_length=9)] = "") -> Reply:
    """Orders."""
    return {"text": question.text + request_key, "certain": False}


@pytest.fixture
def document() -> dict[str, Any]:
    app = FastAPI()

    @app.get("/health")
    async def health() -> None: ...

    @app.get("/things")
    async def things() -> None: ...

    document = app.openapi()
    openapi.extend(document, [JsonEndpoint("/ask", ask), JsonEndpoint("/order", order, refuses=(409, 429))])
    return document


def test_an_endpoint_is_described_by_its_function(document: dict[str, Any]) -> None:
    operation = document["paths"]["/ask"]["post"]
    assert (operation["summary"], operation["description"]) == ("Asks.", "And answers.")
    assert operation["operationId"] == "post_ask"
    assert operation["requestBody"]["required"] is True


def test_types_become_schemas_with_their_limits(document: dict[str, Any]) -> None:
    content = document["paths"]["/ask"]["post"]["requestBody"]["content"]["application/json"]
    assert content["schema"] == {"$ref": "#/components/schemas/Question"}
    assert document["components"]["schemas"]["Question"]["properties"]["text"]["maxLength"] == 5


def test_the_examples_of_all_fields_make_up_an_example_of_the_body(document: dict[str, Any]) -> None:
    operation = document["paths"]["/ask"]["post"]
    assert operation["requestBody"]["content"]["application/json"]["example"] == {"text": "why"}
    assert "example" not in operation["responses"]["200"]["content"]["application/json"]  # a field has none


def test_an_endpoint_declares_every_refusal_as_the_envelope(document: dict[str, Any]) -> None:
    responses = document["paths"]["/ask"]["post"]["responses"]
    assert set(responses) == {"200", "400", "408", "413", "415", "422", "503", "504"}
    for status in set(responses) - {"200"}:
        assert responses[status]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorEnvelope")


def test_an_endpoint_declares_its_headers_and_what_its_function_refuses(document: dict[str, Any]) -> None:
    operation = document["paths"]["/order"]["post"]
    (header,) = operation["parameters"]
    assert (header["name"], header["in"], header["required"]) == ("request-key", "header", False)
    assert header["schema"] == {"type": "string", "maxLength": 9}
    assert {"409", "429"} < set(operation["responses"])


def test_every_route_declares_what_the_edge_may_answer_in_its_place(document: dict[str, Any]) -> None:
    assert set(document["paths"]["/things"]["get"]["responses"]) == {"200", "503", "504"}
    assert set(document["paths"]["/health"]["get"]["responses"]) == {"200", "504"}


def test_extending_twice_changes_nothing(document: dict[str, Any]) -> None:
    before = msgspec.json.encode(document)
    openapi.extend(document, [JsonEndpoint("/ask", ask)])
    assert msgspec.json.encode(document) == before
