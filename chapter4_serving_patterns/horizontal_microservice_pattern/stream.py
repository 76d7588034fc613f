"""The answers as server-sent events, one for each service as it comes. Format: html.spec.whatwg.org, section 9.2."""

from collections.abc import AsyncGenerator

import msgspec
from starlette.responses import StreamingResponse

from mlsys.edge import Receive, Scope, Send
from mlsys.errors import ServiceError

from .branch import Missing
from .client import Prediction
from .composition import Policy, require

HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}  # else a proxy keeps events until it has many
Outcomes = AsyncGenerator[tuple[str, Prediction | Missing], None]


class EventStream(StreamingResponse):
    """One answer. However it ends, the services that were not heard are not waited for any more."""

    media_type = "text/event-stream"

    def __init__(self, outcomes: Outcomes, policy: Policy) -> None:
        super().__init__(_events(outcomes, policy), headers=HEADERS)
        self._outcomes = outcomes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._outcomes.aclose()


async def _events(outcomes: Outcomes, policy: Policy) -> AsyncGenerator[bytes, None]:
    found = {}
    async for name, outcome in outcomes:
        found[name] = outcome
        yield _event(name, shown(outcome))
    try:
        require(policy, found)
    except ServiceError as error:
        yield _event("end", {"error": {"code": error.code, "message": error.message}})
    else:
        yield _event("end", {"answered": sum(isinstance(one, Prediction) for one in found.values())})


def shown(outcome: object) -> object:
    """What the answer has for one service: its own words, or why there are none."""
    return {"error": outcome._asdict()} if isinstance(outcome, Missing) else outcome


def _event(name: str, data: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(data))
