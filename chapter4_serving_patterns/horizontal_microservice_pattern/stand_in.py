"""A service in a thread that answers as one of a species does, until it is told to fail: for the demo and for tests."""

import asyncio
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, Self

from mlsys.ports import free_port

_HEAD = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\nlocation: /predict\r\ncontent-length: %d\r\n\r\n"


class Way(NamedTuple):
    """How a request is answered. body: in place of the right one. piece: bytes sent at a time, a second apart."""

    after_s: float = 0.0
    status: int = 200
    body: bytes | None = None
    piece: int = 0
    breaks: bool = False


WELL = Way()
FAULTS = {
    "hangs": Way(after_s=3600),
    "breaks the connection": Way(breaks=True),
    "answers 500": Way(status=500),
    "answers 503": Way(status=503),
    "answers a redirect": Way(status=307),
    "answers no JSON": Way(body=b"<html>"),
    "answers nothing": Way(body=b""),
    "answers three numbers": Way(body=b'{"prediction":[0.2,0.3,0.5]}'),
    "answers texts": Way(body=b'{"prediction":["0.5","0.5"]}'),
    "answers NaN": Way(body=b'{"prediction":[NaN,0.5]}'),
    "answers 1e400": Way(body=b'{"prediction":[1e400,0.5]}'),
    "answers a negative": Way(body=b'{"prediction":[-0.5,1.5]}'),
    "answers what adds up to 2": Way(body=b'{"prediction":[1.0,1.0]}'),
    "answers 30,000 brackets": Way(body=b'{"prediction":' + b"[" * 30_000),
    "answers no UTF-8": Way(body=b'{"prediction":"\xff"}'),
    "answers a megabyte": Way(body=b" " * 1_000_000),
    "answers a byte a second": Way(piece=1),
}
"""What a service may do wrong, other than not to be there."""


class StandIn:
    """Listens within `with`. predict: the answer's body to a flower's. Set `way` at any time; `down` and `up` likewise.

    asked: requests received for predictions. connections: those that are open now.
    """

    def __init__(self, species: str, predict: Callable[[bytes], bytes], port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.way = WELL
        self.asked = 0
        self.connections: set[asyncio.StreamWriter] = set()
        self._bodies = {"/label": b'{"0":"%s","1":"other"}' % species.encode(), "/health": b'{"health":"ok"}'}
        self._predict = predict
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def up(self) -> None:
        """Listen again."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)

    def down(self) -> None:
        """Refuse connections, and break those there are: what a killed process does."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(5)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._converse, "127.0.0.1", self.port)

    async def _close(self) -> None:
        if self._server:
            self._server.close()
        for writer in self.connections.copy():
            writer.transport.abort()

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):  # the caller went away
            while await self._answered(reader, writer):
                pass
        self.connections.discard(writer)
        writer.close()

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False if the connection is to end."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = re.search(r"content-length: (\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        path = head.split(" ", 2)[1]
        self.asked += path.startswith("/predict")
        way = self.way
        if way.breaks or (way.after_s and await _left(reader, way.after_s)):
            return False
        answer = self._bodies.get(path) or self._predict(body)
        answer = answer if way.body is None else way.body
        await _send(writer, _HEAD % (way.status, len(answer)) + answer, way.piece)
        return True


async def _left(reader: asyncio.StreamReader, within_s: float) -> bool:
    """Whether the caller closes the connection within so many seconds, in which it is waiting for an answer."""
    try:
        await asyncio.wait_for(reader.read(1), within_s)
    except TimeoutError:
        return False
    return True


async def _send(writer: asyncio.StreamWriter, content: bytes, piece: int) -> None:
    for start in range(0, len(content), piece or len(content)):
        writer.write(content[start : start + piece] if piece else content)
        await writer.drain()
        await asyncio.sleep(1 if piece else 0)
