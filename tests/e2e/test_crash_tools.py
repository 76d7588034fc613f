"""The tools of the crash matrix see what they are there to see: a result stored twice, a network that is cut."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlsys.redis import connect_blocking
from mlsys.redis_server import RedisServer
from mlsys.testing import eventually

from .appended import NEVER_REWRITTEN, written
from .cable import Cable

pytestmark = pytest.mark.e2e
STORE = "redis.call('HSET', KEYS[1], 'state', 'done', 'result', ARGV[1]); return 1"
STORE_ONCE = "if redis.call('HGET', KEYS[1], 'state') == 'done' then return 0 end " + STORE


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    (configuration := tmp_path / "appended.conf").write_text(NEVER_REWRITTEN)
    with RedisServer(tmp_path / "redis", configuration=configuration) as server:
        yield server


def test_a_result_that_is_stored_twice_is_counted_twice_also_across_a_kill_of_redis(server: RedisServer) -> None:
    with connect_blocking(server.url()) as client:
        client.hset("{jobs}:job:a", mapping={"state": "queued", "picture": b"\r\n*3\r\n\x00\xff"})
        client.hset("{jobs}:job:b", "state", "queued")
        for script, key in ((STORE, "a"), (STORE_ONCE, "b")):
            client.eval(script, 1, f"{{jobs}}:job:{key}", "cat")
        server.kill()
        server.start()
        for script, key in ((STORE, "a"), (STORE_ONCE, "b")):
            client.eval(script, 1, f"{{jobs}}:job:{key}", "dog")
        client.delete("{jobs}:job:b")
        client.hset("{other}:job:c", "result", "horse")
    server.stop()
    history = written(server.data / "appendonly.aof", "{jobs}:job:")
    assert history.times("result") == {"a": 2, "b": 1}
    assert history.times("state") == {"a": 3, "b": 2}
    assert history.deleted == {"b": 1}


def test_a_file_that_was_rewritten_is_refused_and_half_a_command_at_its_end_is_none(tmp_path: Path) -> None:
    (file := tmp_path / "some.aof").write_bytes(b"REDIS0009\xfa")
    with pytest.raises(ValueError, match="was rewritten"):
        written(file, "a")
    file.write_bytes(
        b"*4\r\n$4\r\nHSET\r\n$1\r\na\r\n$1\r\nf\r\n$1\r\nv\r\n*4\r\n$4\r\nHSET\r\n$1\r\na\r\n$1\r\nf\r\n$9\r\nv"
    )
    assert written(file, "a").times("f") == {"": 1}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def arrived(connection: socket.socket) -> bytes:
    connection.setblocking(False)
    try:
        return connection.recv(100)
    except BlockingIOError:
        return b""


def test_what_is_sent_into_a_silent_cut_arrives_late_and_nobody_is_told(listener: socket.socket) -> None:
    with Cable(listener.getsockname()[1]) as cable, socket.create_connection(("127.0.0.1", cable.port)) as caller:
        server, _ = listener.accept()
        caller.sendall(b"before")
        eventually(lambda: arrived(server) == b"before", deadline_s=10)
        with cable.cut("silent"):
            caller.sendall(b"within")
            caller.shutdown(socket.SHUT_WR)  # it gives up
            with pytest.raises(AssertionError):
                eventually(lambda: arrived(server), deadline_s=0.3)
        eventually(lambda: arrived(server) == b"within", deadline_s=10)
        server.close()


def test_a_cut_by_reset_breaks_connections_and_refuses_new_ones_until_it_is_mended(listener: socket.socket) -> None:
    with Cable(listener.getsockname()[1]) as cable, contextlib.ExitStack() as opened:
        ends: list[socket.socket] = []
        for _ in range(30):  # many: none may end in an orderly way, however the threads of the cable take turns
            ends.append(opened.enter_context(socket.create_connection(("127.0.0.1", cable.port), timeout=10)))
            ends.append(opened.enter_context(listener.accept()[0]))
            ends[-1].settimeout(10)
        with cable.cut("reset"):
            for end in ends:
                with pytest.raises(ConnectionResetError):
                    end.recv(1)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", cable.port))
        again = opened.enter_context(socket.create_connection(("127.0.0.1", cable.port)))
        server = opened.enter_context(listener.accept()[0])
        again.sendall(b"after")
        eventually(lambda: arrived(server) == b"after", deadline_s=10)
