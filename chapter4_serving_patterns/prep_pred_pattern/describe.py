"""What the OpenAPI document and /metadata say of pictures and predictions."""

from typing import Any

from typing_extensions import TypedDict

from mlsys.cifar10 import LABELS
from mlsys.openapi import example, refusals

from .form import FIELD
from .prep import INPUT

PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCB2kUIOwAAAABJRU5ErkJggg=="
"""The smallest PNG there is, in base64: one grey pixel."""
PREDICTION = [0.01, 0.01, 0.02, 0.85, 0.02, 0.05, 0.01, 0.01, 0.01, 0.01]
_REFUSALS = {
    400: "The body says that it is JSON, and is not.",
    408: "The body did not arrive in time.",
    413: "The body, or the picture in it, is too large.",
    415: "The body is of another content type, or no picture of a known format.",
    422: "The picture is damaged, or the body is not built as this route takes it.",
    502: "The model server's answer cannot be one.",
}


class Probabilities(TypedDict):
    """Probabilities of the classes, in the order of /label."""

    prediction: list[float]


class Label(TypedDict):
    """Name of the class that the model decides for."""

    prediction: str


class Metadata(TypedDict):
    """What goes in, what comes out, and which model answers."""

    data_type: str
    data_structure: str
    data_sample: str
    tensor: str
    prediction_type: str
    prediction_structure: str
    prediction_sample: list[float]
    model: dict[str, str]


def metadata(name: str, version: str, prediction: list[float]) -> Metadata:
    """What goes in, what comes out, and which model answers."""
    return {
        "data_type": "str",
        "data_structure": "(1,1)",
        "data_sample": PICTURE,
        "tensor": f"{INPUT.name} {INPUT.datatype} {INPUT.shape}",
        "prediction_type": "float32",
        "prediction_structure": f"(1,{len(LABELS)})",  # as the book has it; the answer is the one row
        "prediction_sample": prediction,
        "model": {"name": name, "version": version},
    }


def upload(answer: object) -> dict[str, Any]:
    """The keywords of a route that takes a picture in one of three ways, and gives answers such as this one."""
    binary = {"type": "string", "format": "binary"}
    fields = {"data": {"type": "string", "format": "byte", "description": "A picture's file in base64."}}
    form = {FIELD: binary | {"description": "A picture's file."}}
    content = {
        "application/json": {"schema": _object(fields), "example": {"data": PICTURE}},
        "multipart/form-data": {"schema": _object(form), "example": {FIELD: "(a picture's file)"}},
        "image/*": {"schema": binary, "example": "(a picture's file)"},
    }
    return {
        "openapi_extra": {"requestBody": {"required": True, "content": content}},
        "responses": example({"prediction": answer}) | refused(*_REFUSALS),
    }


def refused(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers these statuses by the error envelope."""
    (envelope,) = refusals(503).values()
    return {status: envelope | {"description": _REFUSALS[status]} for status in statuses}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
