"""What goes over the wire, and what the OpenAPI document says of it."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from typing_extensions import TypedDict

from mlsys.endpoint import decode
from mlsys.errors import UnsupportedMediaType
from mlsys.openapi import example, refusals

from .source import MAX_ID

MAX_BATCH = 64
"""Ids in one request."""
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID)]
PREDICTION = [0.01, 0.01, 0.02, 0.85, 0.02, 0.05, 0.01, 0.01, 0.01, 0.01]
_ONE = {"data": "0000"}
_SEVERAL = {"data": ["0000", "0001", "9999"]}
_ANSWERS = {
    "0000": {"prediction": PREDICTION, "label": "cat", "cache": "hit", "age_s": 12.3},
    "9999": {"error": {"code": "not_found", "message": "There is no item '9999'; GET /items lists them."}},
}
_REFUSALS = {
    400: "The body is not JSON, or not UTF-8.",
    404: "There is no such item, or it has no usable picture.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body's content type is not application/json.",
    422: "The body is JSON, but not what the route takes.",
    502: "The source's or the model server's answer cannot be one.",
}


class Item(msgspec.Struct, forbid_unknown_fields=True):
    """`data` is an item's id."""

    data: Id


class Several(msgspec.Struct, forbid_unknown_fields=True):
    """`data` are ids of items."""

    data: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=MAX_BATCH)]


class Metadata(TypedDict):
    """What goes in, what it becomes, what comes out, and which model answers."""

    data_type: str
    data_structure: str
    data_sample: str
    tensor: str
    prediction_type: str
    prediction_structure: str
    prediction_sample: list[float]
    model: dict[str, str]


ITEM = msgspec.json.Decoder(Item)
SEVERAL = msgspec.json.Decoder(Several)
ABOUT = Metadata(
    data_type="str",
    data_structure="(1,1)",
    data_sample="0000",
    tensor="uint8 (32, 32, 3)",
    prediction_type="float32",
    prediction_structure="(1,10)",
    prediction_sample=PREDICTION,
    model={"name": "cifar10_large", "version": "0123456789ab"},
)


async def received(request: Request, decoder: "msgspec.json.Decoder[Any]") -> Any:  # noqa: ANN401  # the decoder's type
    """The body. Raises: UnsupportedMediaType, InvalidJson, InvalidInput."""
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType(f"Content-Type must be application/json, not {kind[:80]!r}.")
    return decode(decoder, await request.body())


def of_one(answer: object) -> dict[str, Any]:
    """The keywords of a route that takes an item's id and gives answers such as this one."""
    return _operation(Item, _ONE, {"prediction": answer}, with_headers=True)


def of_several() -> dict[str, Any]:
    """The keywords of the route that takes several."""
    return _operation(Several, _SEVERAL, {"predictions": _ANSWERS}, with_headers=False)


def found(answer: object, *, with_headers: bool = True) -> dict[int | str, dict[str, Any]]:
    """The `responses` with this one, and with the refusals of what needs an item."""
    good: dict[int | str, dict[str, Any]] = example(answer)
    if with_headers:
        good[200]["headers"] = {
            "X-Cache": {"schema": {"type": "string", "enum": ["hit", "stale", "miss", "expired", "bypass"]}},
            "Age": {"description": "Seconds since the source was asked.", "schema": {"type": "integer", "minimum": 0}},
        }
    return good | _refused(404, 502)


def _operation(taken: type, sample: Mapping[str, object], answer: object, *, with_headers: bool) -> dict[str, Any]:
    schema = msgspec.json.schema(taken)
    inline = schema["$defs"][taken.__name__]
    content = {"application/json": {"schema": inline, "example": sample}}
    return {
        "openapi_extra": {"requestBody": {"required": True, "content": content}},
        "responses": found(answer, with_headers=with_headers) | _refused(*_REFUSALS),
    }


def _refused(*statuses: int) -> dict[int | str, dict[str, Any]]:
    (envelope,) = refusals(503).values()
    return {status: envelope | {"description": _REFUSALS[status]} for status in statuses}
