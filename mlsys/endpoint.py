"""A JSON endpoint on the hot path: msgspec decodes the request and encodes the answer, nothing else stands between."""

import inspect
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar, get_type_hints

import msgspec

from .edge import Receive, Scope, Send
from .errors import InvalidInput, InvalidJson, UnsupportedMediaType

T = TypeVar("T")
Handler = Callable[..., Awaitable[object]]


class JsonEndpoint:
    """An ASGI app for `POST path`, made from an async function of one typed parameter.

    The parameter's type is what the body is decoded to, the return type what the answer is made of: both are types that
    msgspec knows (Struct, TypedDict), and mlsys.openapi describes both. `path` is what routes call their template.
    A parameter after `*` is a header of its name, with - for _: text, as Annotated[str, msgspec.Meta(…)], and a
    default for who does not send it. `refuses` are statuses of errors that the function raises, for the description.
    """

    def __init__(self, path: str, handler: Handler, refuses: tuple[int, ...] = ()) -> None:
        hints = get_type_hints(handler, include_extras=True)
        self.path = path
        self.refuses = refuses
        self.summary, _, self.description = (handler.__doc__ or "").partition("\n")
        self.response_type = hints.pop("return")
        parameters = inspect.signature(handler).parameters.values()
        headers = {each.name: hints.pop(each.name) for each in parameters if each.kind is each.KEYWORD_ONLY}
        self.headers = {name.replace("_", "-"): kind for name, kind in headers.items()}
        (self.request_type,) = hints.values()
        self._parameters = {name.replace("_", "-").encode(): (name, kind) for name, kind in headers.items()}
        self._handler = handler
        self._decoder = msgspec.json.Decoder(self.request_type)
        self._encoder = msgspec.json.Encoder()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises: UnsupportedMediaType, InvalidJson, InvalidInput, and what the handler raises."""
        scope["route"] = self
        _require_json(scope)
        given = self._given(scope) if self._parameters else {}
        body = await _body(receive)
        if body is None:
            return
        answer = self._encoder.encode(await self._handler(decode(self._decoder, body), **given))
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _given(self, scope: Scope) -> dict[str, str]:
        """The headers that the function takes, by its parameters. Raises: InvalidInput."""
        found = {}
        for name, value in scope["headers"]:
            if name in self._parameters:
                parameter, kind = self._parameters[name]
                if parameter in found:  # which one counts would depend on what is between the caller and this
                    raise InvalidInput(f"The header {name.decode()} came twice; send it once.")
                try:
                    found[parameter] = msgspec.convert(value.decode("latin-1"), kind)
                except msgspec.ValidationError as error:
                    about = f"The header {name.decode()} is not what this route takes"
                    raise InvalidInput(f"{about}: {_reason(error)}.") from None
        return found


def decode(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    """The body as the decoder's type. Raises: InvalidJson, InvalidInput."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _require_well_formed(body)
        raise InvalidInput(f"The body is not what this route takes: {_reason(error)}.") from None


def _require_json(scope: Scope) -> None:
    for name, value in scope["headers"]:
        if name == b"content-type":
            if value.partition(b";")[0].strip().lower() == b"application/json":
                return
            raise UnsupportedMediaType(f"Content-Type must be application/json, not {value[:80].decode('latin-1')!r}.")
    raise UnsupportedMediaType("Content-Type must be application/json; the request has none.")


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None if the caller went away before it was whole."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return None if message["type"] == "http.disconnect" else body


def _require_well_formed(body: bytes) -> None:
    """Tell what is no JSON (400) from JSON that is wrong (422); the typed decoder stops at the first of either.

    Raises: InvalidJson. Text that the decoder gives up on for its depth is left to be called wrong.
    """
    if not body:
        raise InvalidJson("The body is empty; this route takes JSON.")
    try:
        json.loads(body.decode(), parse_constant=_refuse_constant, parse_int=float)
    except UnicodeDecodeError as error:
        raise InvalidJson(f"The body is not UTF-8: byte {error.start} is 0x{body[error.start]:02x}.") from None
    except RecursionError:
        return
    except ValueError as error:
        raise InvalidJson(f"The body is not JSON: {error}.") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    text = str(error)
    return text[0].lower() + text[1:]
