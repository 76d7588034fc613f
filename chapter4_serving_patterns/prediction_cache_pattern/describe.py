"""What the OpenAPI document and the routes say of items, pictures and predictions."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType
from typing_extensions import TypedDict

from mlsys.cifar10 import LABELS
from mlsys.openapi import refusals

from .items import Item

PREDICTION = [0.01, 0.01, 0.02, 0.85, 0.02, 0.05, 0.01, 0.01, 0.01, 0.01]
ITEM = {"id": "0005", "photograph": "cat", "square": [12, 24, 212, 224]}
_REFUSALS = {
    401: "The bearer token is missing or wrong.",
    404: "There is no such item, or no such model.",
    502: "The model server's answer cannot be one.",
}


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """Either `data`, the id of an item, or `image_data`, a picture's file in base64."""

    data: Annotated[str, msgspec.Meta(description="Id of an item.", examples=["0000"])] | UnsetType = UNSET
    image_data: Annotated[bytes, msgspec.Meta(description="A picture's file in base64.")] | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Raises: ValueError unless one of the two is given."""
        if (self.data is UNSET) == (self.image_data is UNSET):
            raise ValueError("give either `data`, an item's id, or `image_data`, a picture in base64")


class Probabilities(TypedDict):
    """Probabilities of the classes, in the order of /label."""

    prediction: Annotated[list[float], msgspec.Meta(examples=[PREDICTION])]


class Label(TypedDict):
    """Name of the class that the model decides for."""

    prediction: Annotated[str, msgspec.Meta(examples=["cat"])]


class Metadata(TypedDict):
    """What goes in, what comes out, and which model answers."""

    data_type: str
    data_structure: str
    data_sample: str
    prediction_type: str
    prediction_structure: str
    prediction_sample: list[float]
    model: dict[str, str]


class ItemRow(TypedDict):
    """An item: the photograph, and the square of it in pixels of 224 (left, top, right, bottom), if not the whole."""

    id: str
    photograph: str
    square: list[int] | None


class Invalidated(TypedDict):
    """What is not answered from the cache any more."""

    invalidated: str


def metadata(name: str, version: str, prediction: list[float]) -> Metadata:
    """The book's keys, and the model."""
    return {
        "data_type": "str",
        "data_structure": "(1,1)",
        "data_sample": "0000",
        "prediction_type": "float32",
        "prediction_structure": f"(1,{len(LABELS)})",  # as the book has it; the answer is the one row
        "prediction_sample": prediction,
        "model": {"name": name, "version": version},
    }


def row(item: Item) -> ItemRow:
    """An item as it is listed."""
    return {"id": item.id, "photograph": item.photograph, "square": list(item.square) if item.square else None}


def refused(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers these statuses by the error envelope."""
    (envelope,) = refusals(503).values()
    return {str(status): envelope | {"description": _REFUSALS[status]} for status in statuses}


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add to the two hot routes what their types cannot say: one of two fields, headers, further refusals."""
    headers = {
        "X-Cache": {"schema": {"type": "string", "enum": ["hit", "miss", "stale", "bypass"]}},
        "X-Model-Version": {"schema": {"type": "string"}, "description": "Beginning of the model's sha256."},
        "Age": {"schema": {"type": "integer"}, "description": "Seconds since it was computed, of a hit or stale."},
    }
    for path in ("/predict", "/predict/label"):
        operation = document["paths"][path]["post"]
        operation["requestBody"]["content"]["application/json"]["example"] = {"data": "0000"}
        operation["responses"] |= refused(404, 502)
        operation["responses"]["200"]["headers"] = headers
    return document
