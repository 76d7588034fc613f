"""The golden pattern, one real worker, and callers who send what they should not, or stop sending."""

import contextlib
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsys.ports import free_port
from mlsys.testing import Server, eventually

from .wire import FLOWER, HEAD, LENGTH, REQUEST, TARGET, connect, errors_in, is_served, metric, read, send

pytestmark = pytest.mark.e2e
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker with a short time for a request."""
    environment = {
        "PORT": str(free_port()),
        "MODEL_PATH": str(models / "iris_svc" / "model.onnx"),
        "REQUEST_TIMEOUT_S": "1",
    }
    server = Server(TARGET, tmp_path_factory.mktemp("faults") / "server.log", environment)
    eventually(server.is_ready, deadline_s=20)
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def the_next_caller_is_served(server: Server) -> Iterator[None]:
    yield
    assert is_served(server)
    assert errors_in(server.log) == []


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (HEAD + b"Content-Length: 52428800\r\n\r\n", b"413"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"413"),
        (HEAD.replace(b"application/json", b"text/plain") + b"Transfer-Encoding: chunked\r\n\r\n", b"415"),
        (HEAD.replace(b"/predict", b"/nowhere") + b"Transfer-Encoding: chunked\r\n\r\n", b"404"),
        (HEAD.replace(b"POST", b"PUT") + b"Transfer-Encoding: chunked\r\n\r\n", b"405"),
    ],
)
def test_50_mb_are_refused_unread_and_the_caller_can_read_why(server: Server, head: bytes, status: bytes) -> None:
    before = bytes_read(server)
    block = b"x" * 65536
    piece = block if b"Content-Length" in head else b"10000\r\n" + block + b"\r\n"
    with connect(server) as connection:
        connection.sendall(head)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for _ in range(800):
                connection.sendall(piece)
        answer = read(connection)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"\r\nconnection: close\r\n" in answer
    assert b'{"error":{"code":' in answer
    assert bytes_read(server) - before < MEGABYTE


def bytes_read(server: Server) -> int:
    (found,) = re.findall(r"rchar: (\d+)", Path(f"/proc/{server.process.pid}/io").read_text())
    return int(found)


def test_a_request_id_of_10_kb_is_replaced_and_a_proper_one_is_logged(server: Server) -> None:
    answer = send(server, HEAD, LENGTH, b"X-Request-ID: " + b"a" * 10_000 + b"\r\n\r\n", FLOWER)
    assert re.search(rb"\r\nx-request-id: [0-9a-f-]{36}\r\n", answer)
    answer = send(server, HEAD, LENGTH, b"X-Request-ID: proper-one\r\n\r\n", FLOWER)
    assert b"\r\nx-request-id: proper-one\r\n" in answer
    eventually(lambda: '"request_id":"proper-one"' in server.log.read_text(), deadline_s=5)


@pytest.mark.parametrize("length", [b"5", b"-5", b"+28", b"abc", b"0x1c", b"28, 28", b"9" * 30, b"9" * 5000, b""])
def test_a_length_that_lies_or_is_no_number_is_a_400(server: Server, length: bytes) -> None:
    assert send(server, HEAD, b"Content-Length: ", length, b"\r\n\r\n", FLOWER).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "head",
    [
        LENGTH + b"Transfer-Encoding: chunked\r\n\r\n1c\r\n",
        LENGTH + b"Content-Length: 5\r\n\r\n",
        b"Transfer-Encoding: chunked, gzip\r\n\r\n1c\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n1c\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_a_body_whose_end_can_be_read_in_two_ways_is_a_400(server: Server, head: bytes) -> None:
    answer = send(server, HEAD + head + FLOWER + b"\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /%00 HTTP/1.1", b"404"),
        (b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1", b"404"),
        (b"GET /%0a%1b[31m HTTP/1.1", b"404"),
        (b"GET /%ff%fe HTTP/1.1", b"404"),
        (b"GET /" + b"a" * 60_000 + b" HTTP/1.1", b"404"),
        (b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1", b"400"),
        (b"GET /\xff HTTP/1.1", b"400"),
        (b"OPTIONS * HTTP/1.1", b"404"),
        (b"CONNECT a:80 HTTP/1.1", b"400"),
        (b"HEAD /health HTTP/1.1", b"405"),
        (b"FLY / HTTP/1.1", b"400"),
        (b"GET / HTTP/9.9", b"400"),
        (b"\x16\x03\x01\x02\x00", b"400"),
    ],
)
def test_odd_request_lines_are_a_4xx(server: Server, line: bytes, status: bytes) -> None:
    assert send(server, line + b"\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 " + status)


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    wrong = HEAD + b"Content-Length: 2\r\n\r\n{}"
    with connect(server) as connection:
        connection.sendall(REQUEST + wrong + HEAD + LENGTH + b"Connection: close\r\n\r\n" + FLOWER)
        answer = read(connection)
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"422", b"200"]


@pytest.mark.parametrize("declared", [LENGTH, b"Transfer-Encoding: chunked\r\n"])
def test_a_body_that_stops_arriving_is_a_408_that_closes(server: Server, declared: bytes) -> None:
    with connect(server) as connection:
        connection.sendall(HEAD + declared + b"\r\n" + b'5\r\n{"dat')
        answer = read(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"\r\nconnection: close\r\n" in answer
    assert b'"code":"request_timeout"' in answer


@pytest.mark.parametrize("rude", [True, False])
def test_a_caller_who_leaves_amid_the_body_is_counted_as_499(server: Server, rude: bool) -> None:
    name = 'http_requests_total{method="POST",route="/predict",status="499"}'
    before = metric(server, name)
    connection = connect(server)
    connection.sendall(HEAD + LENGTH + b"\r\n" + FLOWER[:10])
    if rude:  # a reset instead of an orderly end
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    eventually(lambda: metric(server, name) == before + 1, deadline_s=5)


@given(st.binary(max_size=300) | st.binary(max_size=40).map(lambda junk: REQUEST[:30] + junk + REQUEST[30:]))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_arbitrary_bytes_never_give_a_5xx(server: Server, junk: bytes) -> None:
    assert re.findall(rb"HTTP/1.1 5\d\d", send(server, junk)) == []
