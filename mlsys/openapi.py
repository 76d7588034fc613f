"""JSON endpoints in the OpenAPI document, which FastAPI writes for its own routes only."""

from collections.abc import Iterable
from typing import Any

import msgspec

from .edge import PROBES
from .endpoint import JsonEndpoint
from .envelope import ErrorEnvelope

_TEMPLATE = "#/components/schemas/{name}"
_REFUSALS = {
    400: "The body is not JSON, or not UTF-8.",
    408: "The body did not arrive in time.",
    409: "It contradicts what is there already.",
    413: "The body is too large.",
    415: "The body's content type is not application/json.",
    422: "The body or a header is not what the route takes.",
    429: "A queue is full, or a quota used up; Retry-After says when it is worth another try.",
    502: "A service that this one asked gave an answer that cannot be one.",
    503: "The service is over capacity, or not ready.",
    504: "The answer was not ready in time.",
}
_OF_A_BODY = (400, 408, 413, 415, 422, 503, 504)


def extend(document: dict[str, Any], endpoints: Iterable[JsonEndpoint]) -> None:
    """Add the endpoints, their types and the error envelope to an OpenAPI document."""
    endpoints = list(endpoints)
    types = [kind for endpoint in endpoints for kind in (endpoint.request_type, endpoint.response_type)]
    *_, components = msgspec.json.schema_components([*types, ErrorEnvelope], ref_template=_TEMPLATE)
    document.setdefault("components", {}).setdefault("schemas", {}).update(components)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["responses"] |= refusals(504) if path in PROBES else refusals(503, 504)
    for endpoint in endpoints:
        document["paths"].setdefault(endpoint.path, {})["post"] = _operation(endpoint)


def example(answer: object, media_type: str = "application/json") -> dict[int | str, dict[str, Any]]:
    """The `responses` of an ordinary route, with an example of its answer."""
    return {200: {"content": {media_type: {"example": answer}}}}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers these statuses by the error envelope."""
    return {str(status): {"description": _REFUSALS[status], "content": _json(ErrorEnvelope)} for status in statuses}


def _operation(endpoint: JsonEndpoint) -> dict[str, Any]:
    return {
        "operationId": "post" + endpoint.path.replace("/", "_"),
        "summary": endpoint.summary,
        "description": endpoint.description.strip(),
        "parameters": [_header(name, kind) for name, kind in endpoint.headers.items()],
        "requestBody": {"required": True, "content": _json(endpoint.request_type)},
        "responses": {
            "200": {"description": "The answer.", "content": _json(endpoint.response_type)},
            **refusals(*_OF_A_BODY, *endpoint.refuses),
        },
    }


def _header(name: str, kind: Any) -> dict[str, Any]:  # noqa: ANN401  # Annotated[str, …]
    return {"name": name, "in": "header", "required": False, "schema": msgspec.json.schema(kind)}


def _json(kind: Any) -> dict[str, Any]:  # noqa: ANN401  # any Struct or TypedDict
    (schema,), components = msgspec.json.schema_components([kind], ref_template=_TEMPLATE)
    properties = components[kind.__name__]["properties"]
    content = {"schema": schema}
    if all("examples" in about for about in properties.values()):
        content["example"] = {name: about["examples"][0] for name, about in properties.items()}
    return {"application/json": content}
