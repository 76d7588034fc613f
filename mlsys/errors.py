"""The error tree: what can go wrong, with the HTTP status and the code that a caller sees."""

import math
from enum import StrEnum


class ErrorCode(StrEnum):
    """The `code` of the error envelope."""

    INVALID_JSON = "invalid_json"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    REQUEST_TIMEOUT = "request_timeout"
    CONFLICT = "conflict"
    REFUSED = "refused"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    INVALID_INPUT = "invalid_input"
    INVALID_REQUEST = "invalid_request"
    HTTP_ERROR = "http_error"
    TOO_MANY_REQUESTS = "too_many_requests"
    INTERNAL = "internal"
    BAD_GATEWAY = "bad_gateway"
    NOT_READY = "not_ready"
    OVER_CAPACITY = "over_capacity"
    DEADLINE_EXCEEDED = "deadline_exceeded"


class MlsysError(Exception):
    """Base of every error that this repository raises on purpose. Its text is one sentence for a person."""


class StartupError(MlsysError):
    """The process must not start: the sentence says what is wrong, with which value, and what to do."""


class SettingsError(StartupError):
    """An environment variable has a value that cannot be used."""


class ModelError(StartupError):
    """A model file is missing, damaged, or not the model that the service was written for."""


class ServiceError(MlsysError):
    """An error with an answer. Each kind has a status and a code; `details` must be JSON."""

    status: int
    code: ErrorCode
    headers: tuple[tuple[str, str], ...] = ()

    def __init__(self, message: str, *, details: object = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class InternalError(ServiceError):
    """Something that nobody expected. The caller learns nothing of it but the request id."""

    status, code = 500, ErrorCode.INTERNAL

    def __init__(self) -> None:
        super().__init__("The service failed; its log has the reason under this request id.")


class InvalidJson(ServiceError):
    """The body is not JSON, or not UTF-8."""

    status, code = 400, ErrorCode.INVALID_JSON


class InvalidRequest(ServiceError):
    """The request is not what the Open Inference Protocol or the model takes; the protocol knows no 422."""

    status, code = 400, ErrorCode.INVALID_REQUEST


class Unauthorized(ServiceError):
    """The request carries no bearer token, or not the right one (RFC 6750)."""

    status, code, headers = 401, ErrorCode.UNAUTHORIZED, (("www-authenticate", "Bearer"),)


class NotFound(ServiceError):
    """There is no such thing."""

    status, code = 404, ErrorCode.NOT_FOUND


class MethodNotAllowed(ServiceError):
    """There is something under this path, but not by this method; `allow` is the one by which there is."""

    status, code = 405, ErrorCode.METHOD_NOT_ALLOWED

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message)
        self.headers = (("allow", allow),)


class RequestTimeout(ServiceError):
    """The caller took too long to send the body."""

    status, code, headers = 408, ErrorCode.REQUEST_TIMEOUT, (("connection", "close"),)


class Conflict(ServiceError):
    """There is such a thing already; `details` name it."""

    status, code = 409, ErrorCode.CONFLICT


class Refused(ServiceError):
    """The request is understood, and a rule forbids what it asks for; `details` are the reasons."""

    status, code = 409, ErrorCode.REFUSED


class PayloadTooLarge(ServiceError):
    """The body is over the cap. The connection is closed, so that the rest of the body need not be read."""

    status, code, headers = 413, ErrorCode.PAYLOAD_TOO_LARGE, (("connection", "close"),)


class UnsupportedMediaType(ServiceError):
    """The body is of a content type that this route does not take."""

    status, code = 415, ErrorCode.UNSUPPORTED_MEDIA_TYPE


class InvalidInput(ServiceError):
    """The body is JSON, but not what the route declares."""

    status, code = 422, ErrorCode.INVALID_INPUT


class TooManyRequests(ServiceError):
    """A queue is full, or a quota used up. retry_after_s: seconds after which it is worth another try."""

    status, code = 429, ErrorCode.TOO_MANY_REQUESTS

    def __init__(self, message: str, *, retry_after_s: float, details: object = None) -> None:
        super().__init__(message, details=details)
        self.headers = (("retry-after", str(max(1, math.ceil(retry_after_s)))),)


class BadGateway(ServiceError):
    """A service that this one asked gave an answer that cannot be one."""

    status, code = 502, ErrorCode.BAD_GATEWAY


class NotReady(ServiceError):
    """The service is starting or draining, or something that it depends on does not answer."""

    status, code, headers = 503, ErrorCode.NOT_READY, (("retry-after", "1"),)


class OverCapacity(ServiceError):
    """As many requests as the cap allows are in progress."""

    status, code, headers = 503, ErrorCode.OVER_CAPACITY, (("retry-after", "1"),)


class DeadlineExceeded(ServiceError):
    """The answer was not ready within the request's time."""

    status, code = 504, ErrorCode.DEADLINE_EXCEEDED
