"""The error envelope: the one form in which every error is answered."""

from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from . import logs
from .errors import ErrorCode, InternalError, InvalidInput, InvalidJson, ServiceError

KINDS: tuple[type[Exception], ...] = (ServiceError, HTTPException, RequestValidationError, Exception)
_CODES = {400: ErrorCode.INVALID_JSON, 404: ErrorCode.NOT_FOUND, 405: ErrorCode.METHOD_NOT_ALLOWED}


class ErrorBody(msgspec.Struct, omit_defaults=True):
    """What is inside the envelope. `code` is one of mlsys.errors.ErrorCode; `details` depends on it."""

    code: str
    message: str
    request_id: str
    details: Any = None


class ErrorEnvelope(msgspec.Struct):
    """Body of every answer that is an error."""

    error: ErrorBody


def render(error: ServiceError, request_id: str, path: str = "") -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Body and headers of the answer to `error`. Under /v2 the body is what the Open Inference Protocol says it is."""
    if path.split("/", 2)[1:2] == ["v2"]:
        body = msgspec.json.encode({"error": error.message})
    else:
        body = msgspec.json.encode(ErrorEnvelope(ErrorBody(error.code, error.message, request_id, error.details)))
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers += [(name.encode(), value.encode()) for name, value in error.headers]
    return body, headers


async def answer(request: Request, error: Exception) -> Response:
    """The answer of a FastAPI route that raised one of KINDS."""
    known = _as_service_error(request, error)
    body, headers = render(known, logs.request_id.get() or "", request.url.path)
    response = Response(body, known.status)
    response.raw_headers = headers
    return response


def _as_service_error(request: Request, error: Exception) -> ServiceError:
    match error:
        case ServiceError():
            return error
        case RequestValidationError() if error.errors()[0]["type"] == "json_invalid":
            return InvalidJson(f"The body is not JSON: {error.errors()[0]['ctx']['error']}.")
        case RequestValidationError():
            details = [{"where": list(problem["loc"]), "what": problem["msg"]} for problem in error.errors()]
            return InvalidInput("The request is not what this route takes.", details=details)
        case HTTPException(__cause__=ServiceError() as cause):  # FastAPI wraps what `receive` raises
            return cause
        case HTTPException():
            known = ServiceError(f"{request.method} {request.url.path[:200]}: {error.detail}.")
            known.status, known.code = error.status_code, _CODES.get(error.status_code, ErrorCode.HTTP_ERROR)
            known.headers = tuple((error.headers or {}).items())
            return known
        case _:
            return InternalError()
