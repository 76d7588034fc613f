"""Event streams that are passed on: a bounded number, each for a bounded time, none longer than this process serves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import structlog
from starlette.responses import StreamingResponse

from mlsys.edge import Receive, Scope, Send
from mlsys.errors import OverCapacity
from mlsys.upstream import said

_LOOK_S = 0.5


class EventStream(StreamingResponse):
    """One stream of another service's, whose connection is closed with the answer, however that ends."""

    media_type = "text/event-stream"

    def __init__(self, chunks: AsyncIterator[bytes], close: Callable[[], None]) -> None:
        super().__init__(chunks, headers={"cache-control": "no-store", "x-accel-buffering": "no"})  # nginx would wait
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._close()


class Streams:
    """The streams of one process. stopping: whether it was told to stop; streams end then, and clients come again."""

    def __init__(self, most: int, life_s: float, stopping: Callable[[], bool]) -> None:
        self._most = most
        self._life_s = life_s
        self._stopping = stopping
        self.open_now = 0

    async def open(self, begin: Callable[[], Awaitable[aiohttp.ClientResponse]]) -> EventStream:
        """Pass on what `begin` opens. Raises: OverCapacity if as many are open as may be, and what `begin` raises."""
        if self.open_now >= self._most:
            raise OverCapacity(f"This worker has {self.open_now} event streams open; poll instead, or try again.")
        self.open_now += 1
        try:
            upstream = await begin()
        except BaseException:  # also a caller who went away
            self.open_now -= 1
            raise

        def close() -> None:
            self.open_now -= 1
            upstream.close()

        return EventStream(self._chunks(upstream), close)

    async def _chunks(self, upstream: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        end = asyncio.get_running_loop().time() + self._life_s
        while not self._stopping() and asyncio.get_running_loop().time() < end and not upstream.content.at_eof():
            try:
                async with asyncio.timeout(_LOOK_S):
                    chunk = await upstream.content.readany()
            except TimeoutError:
                continue
            except aiohttp.ClientError as error:
                structlog.get_logger("queue").warning("an event stream broke", reason=said(error))
                return
            yield chunk
