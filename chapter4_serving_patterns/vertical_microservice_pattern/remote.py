"""A stage that is a service: its answers become findings or errors that name it."""

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from mlsys.errors import BadGateway, ServiceError
from mlsys.upstream import Upstream

from .chain import require_order
from .interface import Declared, Finding, Question, finding_of

T = TypeVar("T")
ASK_S = 1.0
"""Seconds that a stage is given to say what it is, or how it is."""
_encoder = msgspec.json.Encoder()
_declared = msgspec.json.Decoder(Declared)
_ANSWER_BYTES = 4096
"""Of a finding that is one. All of them go into the question to the last stage, which takes MAX_BODY_BYTES."""


class RemoteStage:
    """The stage `name` at `url`. `upstream` is entered while the chain serves. Raises: SettingsError."""

    def __init__(self, name: str, url: str, *, max_connections: int) -> None:
        self.name = name
        self.upstream = Upstream(f"Stage {name}", url, max_connections=max_connections, max_bytes=_ANSWER_BYTES)
        self._finding = finding_of(name)

    async def ask(self, question: Question, timeout_s: float) -> Finding[Any]:
        """What it finds. Raises: DeadlineExceeded, NotReady; BadGateway also if it is no finding of such a stage."""
        answer = await self.upstream.post("/stage", _encoder.encode(question), timeout_s=timeout_s)
        return self._decoded(self._finding, answer)

    async def declared(self, timeout_s: float) -> Declared:
        """What it says of itself. Raises: as `ask`."""
        return self._decoded(_declared, await self.upstream.get("/stage", timeout_s=timeout_s))

    async def health(self, timeout_s: float) -> dict[str, Any]:
        """Whether it is alive, or why it cannot be said."""
        try:
            await self.upstream.get("/health", timeout_s=timeout_s)
        except ServiceError as error:
            return {"error": {"code": error.code, "message": error.message}}
        return {"health": "ok"}

    def _decoded(self, decoder: "msgspec.json.Decoder[T]", answer: bytes) -> T:
        try:
            return decoder.decode(answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadGateway(f"Stage {self.name} answered what cannot be an answer: {error}") from error


async def someone_is_answered(remotes: Sequence[RemoteStage]) -> str:
    """Which stages it is without. The first must be there; who is stopped by an early one needs no later one.

    Raises: DeadlineExceeded, NotReady, BadGateway, StartupError.
    """
    found = await asyncio.gather(*(remote.declared(ASK_S) for remote in remotes), return_exceptions=True)
    if isinstance(found[0], BaseException):
        raise found[0]
    away = [remote.name for remote, said in zip(remotes, found, strict=True) if isinstance(said, ServiceError)]
    known = [
        (remote.name, Declared(remote.name) if isinstance(said, BaseException) else said)
        for remote, said in zip(remotes, found, strict=True)
    ]
    require_order(known)
    return f"without {', '.join(away)}" if away else "ok"


async def declarations(remotes: Sequence[RemoteStage]) -> list[Declared]:
    """What the stages say of themselves. Raises: DeadlineExceeded, NotReady, BadGateway."""
    return await asyncio.gather(*(remote.declared(ASK_S) for remote in remotes))
