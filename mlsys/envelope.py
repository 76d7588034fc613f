"""The error envelope: the one form in which every error is answered."""

from typing import Any

import msgspec

from .errors import ServiceError


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
