"""The OpenAPI description of what is under /v2, with examples that the models at hand answer."""

from typing import Any

import msgspec

from ..metadata import Tensor
from . import facts, tensors
from .repository import Models, Repository, Served

_JSON = "application/json"
_REFUSALS = {
    "400": "The request is not what the protocol or the model takes.",
    "404": "There is no such model, or it is not loaded, or has another version.",
    "413": "The body is too large.",
    "503": "More requests wait than may: try again after the seconds in Retry-After.",
    "504": "The answer was not ready in time.",
}
_ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
_VERSION = {"name": "version", "in": "path", "required": True, "schema": {"type": "string"}}


def paths(models: Models) -> dict[str, Any]:
    """OpenAPI paths for the server and for each model that is loaded."""
    found: dict[str, Any] = {}
    for served in models:
        for path, parameters in (
            (f"/v2/models/{served.name}", []),
            (f"/v2/models/{served.name}/versions/{{version}}", [_VERSION | {"example": served.network.version}]),
        ):
            found |= _model(path, parameters, served)
    found["/v2"] = {"get": _operation("server", "The server and the extensions it offers.", facts.server(models))}
    for what in ("live", "ready"):
        found[f"/v2/health/{what}"] = {
            "get": _operation(f"server_{what}", f"Whether the server is {what}.", facts.HEALTH)
        }
    if isinstance(models, Repository):
        found |= _repository(models)
    return found


def _model(path: str, parameters: list[dict[str, Any]], served: Served) -> dict[str, Any]:
    name = f"{served.name}_version" if parameters else served.name
    infer = _operation(f"infer_{name}", "Ask the model; tensors as JSON, or binary after the JSON.", _answer(served))
    infer["requestBody"] = {
        "required": True,
        "content": {_JSON: {"schema": _request(served), "example": _question(served)}},
    }
    ready = {"name": served.name, "ready": True}
    operations = {
        "": ("get", _operation(f"metadata_{name}", "Version and tensors of the model.", facts.metadata(served))),
        "/ready": ("get", _operation(f"ready_{name}", "Whether the model is loaded.", ready)),
        "/config": ("get", _operation(f"config_{name}", "The model's configuration.", facts.configuration(served))),
        "/infer": ("post", infer),
    }
    return {
        path + end: {method: operation | ({"parameters": parameters} if parameters else {})}
        for end, (method, operation) in operations.items()
    }


def _repository(models: Repository) -> dict[str, Any]:
    index = _operation("index", "What is in the server's folders.", [entry._asdict() for entry in models.index()])
    ready = {"type": "object", "properties": {"ready": {"type": "boolean"}}}
    index["requestBody"] = {"content": {_JSON: {"schema": ready, "example": {"ready": True}}}}
    found = {"/v2/repository/index": {"post": index}}
    for served in models:
        sums = {"model_stats": [facts.statistics(served)]}
        operation = _operation(f"stats_{served.name}", "What the model has computed, and how long it took.", sums)
        found[f"/v2/models/{served.name}/stats"] = {"get": operation}
        for verb, summary in (("load", "Read the model's file (again)."), ("unload", "Stop serving the model.")):
            operation = _operation(f"{verb}_{served.name}", summary)
            found[f"/v2/repository/models/{served.name}/{verb}"] = {"post": operation}
    return found


def _operation(name: str, summary: str, example: object = None) -> dict[str, Any]:
    content = {} if example is None else {_JSON: {"schema": {}, "example": example}}
    refusals = {
        status: {"description": text, "content": {_JSON: {"schema": _ERROR}}} for status, text in _REFUSALS.items()
    }
    answer = {"description": "The answer." if content else "It is so.", "content": content}
    return {"operationId": f"v2_{name}", "summary": summary, "responses": {"200": answer, **refusals}}


def _request(served: Served) -> dict[str, Any]:
    """Schema of one row as JSON; the protocol knows more: several rows, parameters, a choice of outputs."""
    sample = served.network.sample()
    inputs = [_tensor(tensor, list(sample[tensor.name].shape)) for tensor in served.network.inputs]
    some = inputs[0] if len(inputs) == 1 else {"anyOf": inputs}
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "inputs": {"type": "array", "minItems": len(inputs), "maxItems": len(inputs), "items": some},
        },
    }


def _tensor(tensor: Tensor, shape: list[int]) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.json.schema(tensors.element(tensor.datatype))
    for size in reversed(shape):
        data = {"type": "array", "minItems": size, "maxItems": size, "items": data}
    fixed = {"name": tensor.name, "datatype": tensor.datatype, "shape": shape}
    return {
        "type": "object",
        "required": [*fixed, "data"],
        "properties": {name: {"const": value} for name, value in fixed.items()} | {"data": data},
    }


def _question(served: Served) -> dict[str, Any]:
    sample = served.network.sample()
    return {
        "inputs": [
            {
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": list(array.shape),
                "data": tensors.to_values(tensor.name, array),
            }
            for tensor in served.network.inputs
            for array in [sample[tensor.name]]
        ]
    }


def _answer(served: Served) -> dict[str, Any]:
    outputs = [{"name": tensor.name, "datatype": tensor.datatype} for tensor in served.network.outputs]
    return {"model_name": served.name, "model_version": served.network.version, "outputs": outputs}
