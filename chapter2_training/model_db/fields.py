"""What the fields of a request may hold: nothing that PostgreSQL cannot store, or that JSON cannot say again."""

import math
import uuid
from collections.abc import Callable, Coroutine, Iterator
from typing import Annotated, Any

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from mlsys.errors import InvalidJson, UnsupportedMediaType
from mlsys.openapi import refusals

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
MAX_TEXT = 10_000
MAX_DEPTH = 16
MAX_VALUES = 10_000
"""Values in one JSON object of a request, at all depths."""


class Body(BaseModel):
    """Base of all request bodies: a field that is not declared is refused, and so is a number for a text."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())


def storable(text: str) -> str:
    """The text. Raises: ValueError if the database cannot store it."""
    if "\0" in text:
        raise ValueError("it contains the character NUL, which the database cannot store")
    return text


def _storable_document(document: dict[str, Any]) -> dict[str, Any]:
    for count, (value, depth) in enumerate(_values(document)):
        if depth > MAX_DEPTH or count > MAX_VALUES:
            raise ValueError(f"it has more than {MAX_VALUES} values, or is nested deeper than {MAX_DEPTH}")
        if isinstance(value, str):
            storable(value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError("it contains a number that JSON does not have (NaN or infinity)")
        elif isinstance(value, int) and abs(value) >= 1 << 64:
            raise ValueError("it contains an integer of more than 64 bits; send it as text")
    return document


def _values(document: dict[str, Any]) -> Iterator[tuple[object, int]]:
    """Every key and value, with its depth. No recursion: the caller decides how deep the document is."""
    open_values: list[tuple[object, int]] = [(document, 0)]
    while open_values:
        value, depth = open_values.pop()
        yield value, depth
        if isinstance(value, dict):
            open_values += [(key, depth + 1) for key in value]
            open_values += [(inner, depth + 1) for inner in value.values()]
        elif isinstance(value, list):
            open_values += [(inner, depth + 1) for inner in value]


Id = Annotated[uuid.UUID, Field(strict=False)]
Name = Annotated[str, StringConstraints(pattern=NAME)]
"""Of a project, a model, an alias, a metric."""
Text = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(storable)]
Sentence = Annotated[str, Field(min_length=1, max_length=MAX_TEXT, pattern=r"\S"), AfterValidator(storable)]
"""A text that says something."""
Document = Annotated[dict[str, Any], AfterValidator(_storable_document)]
MetricName = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(storable)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Metrics = Annotated[dict[MetricName, Number], Field(max_length=1000)]
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


_ENVELOPE = refusals(422)["422"]["content"]
_REFUSALS: dict[int | str, dict[str, Any]] = {
    404: {"description": "There is no such thing.", "content": _ENVELOPE},
    422: {"description": "A parameter or the body is not what the route takes.", "content": _ENVELOPE},
}
_REFUSED_WRITES: dict[int | str, dict[str, Any]] = refusals(400, 413, 415) | {
    401: {"description": "The bearer token is missing or wrong.", "content": _ENVELOPE},
    409: {"description": "There is such a thing already, or a rule forbids it.", "content": _ENVELOPE},
}


class JsonRoute(APIRoute):
    """A FastAPI route whose JSON body is read strictly: no NaN, no infinity, no half of a surrogate pair.

    It also describes how it refuses, which FastAPI would describe by a form that is not the envelope's.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  # FastAPI's
        super().__init__(*arguments, **options)
        self.responses = _REFUSALS | (_REFUSED_WRITES if self.body_field else {}) | self.responses

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, given a request that decodes its body so."""
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            if self.body_field:
                _require_json(request)
            return await handle(_StrictRequest(request.scope, request.receive))

        return handle_strictly


class _StrictRequest(Request):
    async def json(self) -> Any:  # noqa: ANN401  # whatever the caller sent
        try:
            return msgspec.json.decode(await self.body())
        except RecursionError:
            raise InvalidJson("The body is nested too deeply.") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidJson(f"The body is not JSON: {error}.") from None


def _require_json(request: Request) -> None:
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType(f"Content-Type must be application/json, not {kind[:80]!r}.")
