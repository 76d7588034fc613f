"""The REST transport against servers that answer, refuse, lie, drip and hang up: sockets of this test's own."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from mlsys.errors import DeadlineExceeded
from mlsys.ports import free_port

from ..call import Unavailable
from ..over_rest import Rest
from ..transport import Refused, WrongAnswer

PIXELS = np.arange(3072, dtype=np.uint8).reshape(1, 32, 32, 3)
HANG = None
Reply = bytes | list[bytes] | None


def reply(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def answer(index: int = 3, size: int = 40) -> bytes:
    outputs = [
        {"name": "label", "datatype": "INT64", "shape": [1], "parameters": {"binary_data_size": 8}},
        {"name": "probabilities", "datatype": "FP32", "shape": [1, 10], "parameters": {"binary_data_size": size}},
    ]
    head = json.dumps({"model_name": "m", "outputs": outputs}).encode()
    body = head + struct.pack("<q10f", index, *(0.1,) * 10)
    return reply("200 OK", body, f"Inference-Header-Content-Length: {len(head)}")


class Peer:
    """Gives the replies one after the other, whatever it is asked; a list in pieces, 50 ms apart; HANG: none."""

    def __init__(self, replies: list[Reply]) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.replies = replies
        self.over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while self.replies:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        while self.replies and (asked := _request(connection)):
            self.requests.append(asked)
            pieces = self.replies.pop(0)
            if pieces is HANG:
                self.over.wait(10)
                return
            for piece in [pieces] if isinstance(pieces, bytes) else pieces:
                if self.over.wait(0.05 if isinstance(pieces, list) else 0):
                    return
                try:
                    connection.sendall(piece)
                except OSError:
                    return
            if pieces == b"":
                return

    def close(self) -> None:
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


def _request(connection: socket.socket) -> bytes:
    """One whole request, or b"" if the caller has gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (part := connection.recv(65536)):
            return b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.lower().splitlines() if line.startswith(b"content-length:")]
    while len(body) < sum(lengths):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    made: list[Peer] = []

    def peer(*replies: Reply) -> Peer:
        made.append(Peer(list(replies)))
        return made[-1]

    yield peer
    for one in made:
        one.close()


def infer(peer: Peer, left_s: float | None = 5.0) -> dict[str, list[object]]:
    found = Rest("127.0.0.1", peer.port).infer("m", PIXELS, left_s)
    return {name: array.tolist() for name, array in found.items()}


def test_pixels_travel_as_the_bytes_they_are_with_the_time_that_is_left(peer: Callable[..., Peer]) -> None:
    server = peer(answer(index=7))
    assert infer(server, left_s=1.5) == {"label": [7], "probabilities": [pytest.approx([0.1] * 10)]}
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v2/models/m/infer HTTP/1.1\r\n")
    length = next(int(line.split(b": ")[1]) for line in head.splitlines() if b"Inference-Header" in line)
    assert body[length:] == PIXELS.tobytes()
    question = json.loads(body[:length])
    assert question["parameters"] == {"timeout": 1_500_000}
    (tensor,) = question["inputs"]
    size = {"binary_data_size": 3072}
    assert tensor == {"name": "input", "datatype": "UINT8", "shape": [1, 32, 32, 3], "parameters": size}


def test_a_caller_that_waits_for_ever_says_nothing_of_time(peer: Callable[..., Peer]) -> None:
    server = peer(answer())
    infer(server, left_s=None)
    assert b"timeout" not in server.requests[0]


def test_one_connection_serves_call_after_call(peer: Callable[..., Peer]) -> None:
    server = peer(*[answer()] * 20)
    transport = Rest("127.0.0.1", server.port)
    for _ in range(20):
        transport.infer("m", PIXELS, 5.0)
    assert server.connections == 1


def test_a_connection_that_the_server_closed_meanwhile_is_replaced(peer: Callable[..., Peer]) -> None:
    server = peer(answer(), b"", answer())
    transport = Rest("127.0.0.1", server.port)
    transport.infer("m", PIXELS, 5.0)
    with pytest.raises(Unavailable, match="closed"):
        transport.infer("m", PIXELS, 5.0)
    transport.infer("m", PIXELS, 5.0)
    assert server.connections == 2


def test_a_name_is_part_of_the_path_and_nothing_else(peer: Callable[..., Peer]) -> None:
    server = peer(reply("404 Not Found", b'{"error": "no such model"}'))
    with pytest.raises(Refused, match="answered 404: no such model"):
        Rest("127.0.0.1", server.port).metadata("../a b?c#d", 5.0)
    assert server.requests[0].startswith(b"GET /v2/models/..%2Fa%20b%3Fc%23d HTTP/1.1\r\n")


def test_a_server_that_is_not_there_is_unavailable() -> None:
    port = free_port()
    with pytest.raises(Unavailable, match=rf"^127.0.0.1:{port} cannot be reached: .*Connection refused\.$"):
        Rest("127.0.0.1", port).infer("m", PIXELS, 5.0)


def test_a_host_that_has_no_address_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        Rest("host.invalid", 1).metadata("m", 5.0)


@pytest.mark.parametrize("sent", [HANG, b"", answer()[:-1]], ids=["silence", "a closed connection", "half an answer"])
def test_a_server_that_breaks_off_is_unavailable_and_one_that_is_silent_is_late(
    peer: Callable[..., Peer], sent: Reply
) -> None:
    server = peer(sent)
    if sent:
        threading.Timer(0.2, server.over.set).start()
    began = time.monotonic()
    with pytest.raises((Unavailable, DeadlineExceeded)) as raised:
        infer(server, left_s=0.4)
    assert time.monotonic() - began < 1.0
    if sent is HANG:
        assert raised.type is DeadlineExceeded
    if sent == b"":
        assert raised.type is Unavailable


def test_a_server_that_drips_its_answer_is_cut_off_at_the_deadline(peer: Callable[..., Peer]) -> None:
    whole = answer()
    server = peer([whole[:200], *(whole[i : i + 1] for i in range(200, len(whole)))])
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"within the 0\.3 s that were left"):
        infer(server, left_s=0.3)
    assert time.monotonic() - began < 0.8


@pytest.mark.parametrize("first", [0, 200], ids=["from the status line on", "the body only"])
def test_the_deadline_is_of_all_reads_together(peer: Callable[..., Peer], first: int) -> None:
    whole = answer()
    pieces = [whole[i : i + 1] for i in range(first, first + 16)]
    server = peer([whole[:first], *pieces] if first else pieces, HANG)  # 0.8 s of drops, then silence
    threading.Timer(3.0, server.over.set).start()
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"within the 1 s that were left"):
        infer(server, left_s=1.0)
    assert 0.9 < time.monotonic() - began < 1.5


def test_503_is_unavailable_for_as_long_as_it_says(peer: Callable[..., Peer]) -> None:
    busy = b'{"error": "The queue is full."}'
    for header, seconds in (
        ("Retry-After: 2", 2.0),
        ("Retry-After: x", 0.0),
        ("X: y", 0.0),
        ("Retry-After: -1", 0.0),
        ("Retry-After: " + "9" * 400, 3600.0),
    ):
        with pytest.raises(Unavailable, match=r"answered 503: The queue is full\.") as raised:
            infer(peer(reply("503 Service Unavailable", busy, header)))
        assert raised.value.retry_after_s == seconds


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("504 Gateway Timeout", DeadlineExceeded),
        ("400 Bad Request", Refused),
        ("404 Not Found", Refused),
        ("413 Payload Too Large", Refused),
        ("500 Internal Server Error", WrongAnswer),
        ("302 Found", WrongAnswer),
        ("204 No Content", WrongAnswer),
    ],
)
def test_other_statuses_say_whether_the_question_or_the_answer_was_wrong(
    peer: Callable[..., Peer], status: str, kind: type[Exception]
) -> None:
    body = b"" if status[:3] == "204" else b"<html>some proxy</html>"
    with pytest.raises(kind, match=f"answered {status[:3]}"):
        infer(peer(reply(status, body, "Location: http://127.0.0.1:1/")))


@pytest.mark.parametrize(
    "lie",
    [
        reply("200 OK", b""),
        reply("200 OK", b"null"),
        reply("200 OK", b"[" * 100_000),
        reply("200 OK", b'{"outputs": [{"name": "label", "shape": [1], "data": [1]}]}'),
        reply("200 OK", b"{}", "Inference-Header-Content-Length: x"),
        reply("200 OK", b"{}", "Inference-Header-Content-Length: -3"),
        answer(size=44),
        answer(size=36),
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    ],
)
def test_an_answer_that_is_none_is_an_error_of_ours(peer: Callable[..., Peer], lie: bytes) -> None:
    server = peer(lie)
    threading.Timer(0.3, server.over.set).start()
    with pytest.raises((WrongAnswer, Unavailable)):
        infer(server, left_s=2.0)


def test_a_port_of_another_protocol_is_said_to_be_one(peer: Callable[..., Peer]) -> None:
    with pytest.raises(WrongAnswer, match=r"does not speak HTTP: is it the port of gRPC\?"):
        infer(peer(b"SSH-2.0-OpenSSH\r\n"))


def test_labels_come_from_the_models_configuration(peer: Callable[..., Peer]) -> None:
    config = {"name": "m", "parameters": {"labels": {"string_value": '["a", "b"]'}}}
    server = peer(reply("200 OK", json.dumps(config).encode()))
    assert Rest("127.0.0.1", server.port).labels("m", 5.0) == ["a", "b"]
    assert server.requests[0].startswith(b"GET /v2/models/m/config ")


@pytest.mark.parametrize("config", ["{}", "[]", '{"parameters": {"labels": {"string_value": "a, b"}}}'])
def test_a_model_without_class_names_is_said_to_have_none(peer: Callable[..., Peer], config: str) -> None:
    with pytest.raises(WrongAnswer, match="does not name the classes of m"):
        Rest("127.0.0.1", peer(reply("200 OK", config.encode())).port).labels("m", 5.0)
