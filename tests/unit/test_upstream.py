"""The client of an HTTP service, against a server that says what no server should, hangs and goes away."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from mlsys import logs
from mlsys.errors import BadGateway, DeadlineExceeded, MlsysError, NotReady, SettingsError
from mlsys.ports import free_port
from mlsys.upstream import Upstream

T = TypeVar("T")
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
Script = Callable[[int, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Does for each request what `script(number, writer)` does, after it has read headers and body."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.seen: list[bytes] = []
        self.connections = 0
        self._count = itertools.count()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0"
                )
                self.seen.append(head + await reader.readexactly(int(length.partition(b":")[2])))
                await self.script(next(self._count), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def with_server(script: Script, scene: Callable[[Upstream, Server], Awaitable[T]], **options: int) -> T:
    async def play() -> T:
        server = Server(script)
        listening = await asyncio.start_server(server.talk, "127.0.0.1", port := free_port())
        try:
            async with Upstream("the oracle", f"http://127.0.0.1:{port}/", **options) as upstream:
                return await scene(upstream, server)
        finally:
            listening.close()

    return asyncio.run(play())


def says(answer: bytes, *, and_closes: bool = False) -> Script:
    async def script(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        if and_closes:
            writer.close()

    return script


async def post(upstream: Upstream, _: Server) -> bytes:
    return await upstream.post("/predict", b"[1]", timeout_s=1)


def test_a_body_is_sent_as_json_with_the_requests_id_and_trace_and_the_answer_returned() -> None:
    async def scene(upstream: Upstream, server: Server) -> None:
        logs.request_id.set("r-1")
        logs.traceparent.set("00-" + "a" * 32 + "-" + "b" * 16 + "-01")
        assert await upstream.post("/predict", b"[1]", timeout_s=1) == b"{}"
        head, _, body = server.seen[0].partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[0] == b"POST /predict HTTP/1.1"
        assert body == b"[1]"
        assert {b"Content-Type: application/json", b"X-Request-ID: r-1"} <= set(lines)
        assert b"traceparent: 00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01" in lines

    with_server(says(GOOD), scene)


def test_connections_are_kept() -> None:
    async def scene(upstream: Upstream, server: Server) -> None:
        for number in range(2000):  # more paths than are remembered
            assert await upstream.get(f"/item/{number}", timeout_s=1) == b"{}"
        assert server.connections == 1

    with_server(says(GOOD), scene)


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nlost", BadGateway, "the oracle answered 500: b'lost'."),
        (b"HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n", BadGateway, "the oracle answered 422: b''."),
        (b"HTTP/1.1 302 There\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", BadGateway, "the oracle answered 302"),
        (b"HTTP/1.1 429 Many\r\nContent-Length: 0\r\n\r\n", NotReady, r"not available \(it answered 429\)"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", NotReady, r"not available \(it answered 503\)"),
        (b"HTTP/1.1 504 Late\r\nContent-Length: 0\r\n\r\n", DeadlineExceeded, "did not have its answer in time"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + b"x" * 99999, BadGateway, "more than 65536 bytes"),
        (b"Good morning.\r\n\r\n", BadGateway, "what is no HTTP"),
    ],
)
def test_what_is_no_good_answer_is_an_error_that_names_the_service(
    answer: bytes, kind: type[MlsysError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        with_server(says(answer, and_closes=True), post)


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\n", GOOD[:-1]], ids=["nothing", "half a head", "half a body"]
)
def test_an_answer_that_does_not_end_is_late(answer: bytes) -> None:
    async def scene(upstream: Upstream, _: Server) -> None:
        with pytest.raises(DeadlineExceeded, match=r"^the oracle did not answer within 0\.05 s\.$"):
            await upstream.post("/predict", b"[1]", timeout_s=0.05)

    with_server(says(answer), scene)


def test_a_byte_now_and_then_does_not_prolong_the_wait() -> None:
    async def script(_: int, writer: asyncio.StreamWriter) -> None:
        for place in range(len(GOOD)):
            writer.write(GOOD[place : place + 1])
            await writer.drain()
            await asyncio.sleep(0.02)

    async def scene(upstream: Upstream, _: Server) -> None:
        with pytest.raises(DeadlineExceeded):
            await upstream.post("/predict", b"[1]", timeout_s=0.2)

    with_server(script, scene)


def test_a_kept_connection_that_was_closed_is_replaced() -> None:
    async def closes_the_first_after_an_answer(number: int, writer: asyncio.StreamWriter) -> None:
        if number == 1:
            writer.close()
        else:
            writer.write(GOOD)

    async def scene(upstream: Upstream, server: Server) -> None:
        for _ in range(3):
            assert await upstream.post("/predict", b"[1]", timeout_s=1) == b"{}"
        assert (server.connections, len(server.seen)) == (2, 4)

    with_server(closes_the_first_after_an_answer, scene)


def test_a_request_is_sent_again_over_a_new_connection_also_where_all_kept_ones_are_dead() -> None:
    together = asyncio.Barrier(3)

    async def answers_a_connection_once(number: int, writer: asyncio.StreamWriter) -> None:
        if number < 3:
            await together.wait()
        if number == 3:  # the first over a kept one
            writer.close()
        else:
            writer.write(GOOD)

    async def scene(upstream: Upstream, server: Server) -> None:
        calls = [upstream.post("/predict", b"[1]", timeout_s=1) for _ in range(3)]
        assert await asyncio.gather(*calls) == [b"{}"] * 3
        assert await upstream.post("/predict", b"[1]", timeout_s=1) == b"{}"
        assert (server.connections, len(server.seen)) == (4, 5)

    with_server(answers_a_connection_once, scene)


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_an_answer_to_nothing_is_not_taken_for_the_next_requests(method: str) -> None:
    is_kept, is_late = asyncio.Event(), asyncio.Event()

    async def answers_twice(number: int, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
        await writer.drain()
        if number == 0:
            await is_kept.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale")
            await writer.drain()
            is_late.set()

    async def scene(upstream: Upstream, server: Server) -> None:
        bodies = [(await upstream.ask(method, "/predict", timeout_s=1)).body]
        is_kept.set()
        await is_late.wait()
        for _ in range(10):  # the loop looks at its sockets each time
            await asyncio.sleep(0)
        bodies += [(await upstream.ask(method, "/predict", timeout_s=1)).body for _ in range(2)]
        assert bodies == [b"0", b"1", b"2"]
        assert server.connections == 2

    with_server(answers_twice, scene)


def test_a_service_that_always_closes_is_not_asked_for_ever() -> None:
    async def scene(upstream: Upstream, server: Server) -> None:
        with pytest.raises(
            NotReady, match=r"^the oracle at http://127.*[0-9] is not available \(Server disconnected\)"
        ):
            await upstream.post("/predict", b"[1]", timeout_s=1)
        assert len(server.seen) == 2

    with_server(says(b"", and_closes=True), scene)


@pytest.mark.parametrize("half", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{"])
def test_an_answer_that_breaks_off_is_none(half: bytes) -> None:
    with pytest.raises(NotReady, match="is not available"):
        with_server(says(half, and_closes=True), post)


def test_a_service_that_is_not_there_is_named_with_its_address() -> None:
    port = free_port()

    async def play() -> None:
        async with Upstream("the oracle", f"http://127.0.0.1:{port}") as upstream:
            await upstream.get("/health", timeout_s=1)

    with pytest.raises(NotReady, match=rf"^the oracle at http://127\.0\.0\.1:{port} is not available \("):
        asyncio.run(play())


def test_a_connection_whose_call_was_given_up_is_not_used_again() -> None:
    async def late_at_first(number: int, writer: asyncio.StreamWriter) -> None:
        if number == 0:
            await asyncio.sleep(0.1)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold")
        else:
            writer.write(GOOD)

    async def scene(upstream: Upstream, server: Server) -> None:
        with pytest.raises(DeadlineExceeded):
            await upstream.post("/predict", b"[1]", timeout_s=0.05)
        assert await upstream.post("/predict", b"[2]", timeout_s=1) == b"{}"
        assert server.connections == 2

    with_server(late_at_first, scene)


def test_waiting_for_a_connection_is_part_of_the_time() -> None:
    async def scene(upstream: Upstream, server: Server) -> None:
        first = asyncio.ensure_future(upstream.post("/predict", b"[1]", timeout_s=60))  # has the connection throughout
        calls = [upstream.post("/predict", b"[1]", timeout_s=0.1) for _ in range(3)]
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(each) for each in ended] == [DeadlineExceeded] * 3
        assert server.connections == 1
        assert not first.done()
        first.cancel()

    with_server(says(b""), scene, max_connections=1)


def test_a_stream_is_given_when_it_begins() -> None:
    async def scene(upstream: Upstream, _: Server) -> None:
        async with await upstream.open("/events", timeout_s=1) as response:
            assert await response.content.readany() == b"one"

    with_server(says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"), scene)


def test_a_stream_that_does_not_begin_is_late() -> None:
    async def scene(upstream: Upstream, _: Server) -> None:
        with pytest.raises(DeadlineExceeded):
            await upstream.open("/events", timeout_s=0.05)

    with_server(says(b""), scene)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "oracle:80",
        "ftp://oracle",
        "http://",
        "http://oracle:port",
        "/predict",
        "http://oracle:80?a=b",
        "http://oracle:80/#a",
        "http://the oracle:80",
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="is no URL of a service"):
        Upstream("the oracle", url)


def test_a_url_with_a_password_is_refused_and_not_shown() -> None:
    with pytest.raises(SettingsError, match=r"^\(hidden\) is no URL of a service"):
        Upstream("the oracle", "http://someone:secret@oracle:80")


def test_a_path_that_would_change_the_host_is_refused() -> None:
    async def scene(upstream: Upstream, server: Server) -> None:
        with pytest.raises(ValueError, match=r"^'@oracle/predict' is no path below http://127"):
            await upstream.get("@oracle/predict", timeout_s=1)
        assert server.seen == []

    with_server(says(GOOD), scene)


def test_outside_of_its_context_it_says_so() -> None:
    with pytest.raises(RuntimeError, match=r"outside of `async with`"):
        asyncio.run(Upstream("the oracle", "http://127.0.0.1:1").get("/", timeout_s=1))
