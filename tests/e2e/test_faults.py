"""The golden pattern in real processes: load at the end, killed and hung processes, models that cannot be used."""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from uvicorn.config import STARTUP_FAILURE

from mlsys.catalogue import ROOT
from mlsys.ports import free_port
from mlsys.testing import Server, eventually

from .wire import FLOWER, HEAD, LENGTH, REQUEST, TARGET, both_serve, connect, errors_in, is_served, metric, read, send

pytestmark = pytest.mark.e2e

PREDICTED = 'http_requests_total{method="POST",route="/predict",status="200"}'


@pytest.fixture(scope="session")
def model(models: Path) -> str:
    return str(models / "iris_svc" / "model.onnx")


class Load:
    """Callers who send one flower after the other until the service refuses connections.

    answered: whole answers. cut: answers that began and did not end. refused: callers who were told so.
    under_way: set after 500 answers.
    """

    def __init__(self, server: Server, *, keep_alive: bool) -> None:
        self._port = server.port
        self._keep_alive = keep_alive
        self._request = REQUEST if keep_alive else HEAD + LENGTH + b"Connection: close\r\n\r\n" + FLOWER
        self.answered = self.cut = self.refused = 0
        self.under_way = asyncio.Event()

    async def caller(self) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                self.refused += 1
                return
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                while await self._ask(reader, writer):
                    pass
            writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request. Whether the connection takes another."""
        writer.write(self._request)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            (length,) = re.findall(rb"content-length: (\d+)", head)
            await reader.readexactly(int(length))
        except asyncio.IncompleteReadError as error:
            self.cut += bool(error.partial)
            return False
        assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
        self.answered += 1
        if self.answered == 500:
            self.under_way.set()
        return self._keep_alive and b"connection: close" not in head


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("keep_alive", [True, False])
def test_sigterm_under_load_fails_no_request_that_a_worker_has_read(
    serve: Callable[..., Server], model: str, workers: str, keep_alive: bool
) -> None:
    server = serve(TARGET, MODEL_PATH=model, WORKERS=workers)
    load = Load(server, keep_alive=keep_alive)

    async def scenario() -> int:
        callers = [asyncio.create_task(load.caller()) for _ in range(16)]
        await asyncio.wait_for(load.under_way.wait(), 30)
        code = await asyncio.to_thread(server.stop)
        await asyncio.wait_for(asyncio.gather(*callers), 10)
        return code

    assert asyncio.run(scenario()) == 0
    log = [json.loads(line) for line in server.log.read_text().splitlines()]
    read_by_a_worker = [line for line in log if line["event"] == "request" and line["path"] == "/predict"]
    assert {line["status"] for line in read_by_a_worker} == {200}
    assert (load.answered, load.cut, load.refused) == (len(read_by_a_worker), 0, 16)
    assert errors_in(server.log) == []


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_body_that_is_arriving_at_sigterm_is_still_answered_while_new_connections_are_refused(
    serve: Callable[..., Server], model: str, workers: str
) -> None:
    server = serve(TARGET, MODEL_PATH=model, WORKERS=workers)

    def is_refused() -> bool:
        try:
            connect(server).close()
        except ConnectionRefusedError:
            return True
        return False

    with connect(server) as connection:
        connection.sendall(HEAD + LENGTH + b"Expect: 100-continue\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")  # a worker has the headers, and waits
        connection.sendall(FLOWER[:10])
        server.process.send_signal(signal.SIGTERM)
        eventually(is_refused, deadline_s=5)
        connection.sendall(FLOWER[10:])
        answer = read(connection)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nconnection: close\r\n" in answer
    assert server.process.wait(10) == 0


@pytest.fixture
def pair(serve: Callable[..., Server], model: str) -> Server:
    """Two workers, both serving."""
    server = serve(TARGET, MODEL_PATH=model, WORKERS="2", DRAIN_TIMEOUT_S="1", REQUEST_TIMEOUT_S="1")
    eventually(lambda: both_serve(server), deadline_s=10)
    return server


def test_metrics_of_two_workers_add_up(pair: Server) -> None:
    for _ in range(50):
        assert is_served(pair)
    eventually(lambda: metric(pair, PREDICTED) == 50, deadline_s=5)  # counted just after the answer
    eventually(lambda: metric(pair, 'http_request_duration_seconds_count{route="/predict"}') == 50, deadline_s=5)
    eventually(lambda: metric(pair, "http_requests_in_flight") == 1, deadline_s=5)  # the scrape itself


def test_a_killed_worker_is_replaced_its_counts_stay_and_no_request_fails(pair: Server) -> None:
    for _ in range(20):
        assert is_served(pair)
    victim = pair.workers()[0]
    os.kill(victim, signal.SIGKILL)
    sent = 20

    def replaced() -> bool:
        nonlocal sent
        sent += 1
        assert is_served(pair)
        return victim not in pair.workers() and both_serve(pair)

    eventually(replaced, deadline_s=15)
    eventually(lambda: metric(pair, PREDICTED) == sent, deadline_s=5)


def test_what_a_dead_worker_had_in_progress_is_not_counted_as_in_progress(pair: Server) -> None:
    with connect(pair) as connection:
        connection.sendall(HEAD + LENGTH + b"\r\n" + FLOWER[:10])
        eventually(lambda: metric(pair, "http_requests_in_flight") == 2, deadline_s=5)
        for worker in pair.workers():
            os.kill(worker, signal.SIGKILL)
        eventually(lambda: both_serve(pair) and pair.is_ready(), deadline_s=15)
        eventually(lambda: metric(pair, "http_requests_in_flight") == 1, deadline_s=5)


def test_a_hung_worker_is_replaced(pair: Server) -> None:
    victim = pair.workers()[0]
    os.kill(victim, signal.SIGSTOP)
    eventually(lambda: victim not in pair.workers() and both_serve(pair), deadline_s=20)
    assert is_served(pair)


def test_a_hung_worker_does_not_keep_the_service_from_ending(pair: Server) -> None:
    workers = pair.workers()
    pair.process.send_signal(signal.SIGTERM)
    os.kill(workers[0], signal.SIGSTOP)
    assert pair.process.wait(15) == 0
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_the_workers_of_a_killed_supervisor_go_by_themselves(pair: Server) -> None:
    workers = pair.workers()
    assert pair.stop(signal.SIGKILL) == -signal.SIGKILL
    eventually(lambda: not any(map(is_alive, workers)), deadline_s=10)


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mlsys.serve", *arguments, TARGET]
    own = {"PORT": str(free_port()), **environment}
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **own}, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("none.onnx", "no such file or directory"),
        (".", "is a directory"),
        ("empty.onnx", "it has 0 `mlsys` metadata properties instead of one"),
        ("text.onnx", "it is not a whole ONNX file (truncated, or of another format)"),
        ("truncated.onnx", "it is not a whole ONNX file (truncated, or of another format)"),
        ("twice.onnx", "it has 2 `mlsys` metadata properties instead of one"),
        ("narrow.onnx", "its features are ['petal_length', 'petal_width'], and this service needs ['sepal_length'"),
    ],
)
def test_a_model_that_cannot_be_used_is_one_line_with_file_and_reason(
    tmp_path: Path, models: Path, model: str, file: str, reason: str
) -> None:
    content = Path(model).read_bytes()
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "text.onnx").write_text("a model, honestly\n" * 100)
    (tmp_path / "truncated.onnx").write_bytes(content[: len(content) // 2])
    (tmp_path / "twice.onnx").write_bytes(content + content)
    (tmp_path / "narrow.onnx").write_bytes((models / "iris_perceptron" / "model.onnx").read_bytes())
    path = tmp_path / file
    done = run("--check", MODEL_PATH=str(path))
    assert done.returncode == STARTUP_FAILURE
    assert done.stderr.startswith(f"Cannot start: Model {path} cannot be used: {reason}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serving_refuses_a_model_as_the_check_does_and_starts_no_worker_again(tmp_path: Path, workers: str) -> None:
    path = tmp_path / "none.onnx"
    done = run(MODEL_PATH=str(path), WORKERS=workers)
    assert done.returncode == STARTUP_FAILURE
    assert done.stderr.startswith(f"Cannot start: Model {path} cannot be used: no such file or directory")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_every_line_of_the_log_is_one_json_object_and_requests_carry_their_id(
    serve: Callable[..., Server], model: str, workers: str
) -> None:
    server = serve(TARGET, MODEL_PATH=model, WORKERS=workers)
    send(server, b"not http\r\n\r\n")
    send(server, HEAD + b"Content-Length: 2\r\nX-Request-ID: abc\r\n\r\n{}")
    server.stop()
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert all({"event", "level", "time"} <= set(line) for line in lines)
    requests = [line for line in lines if line["event"] == "request"]
    assert all(line["request_id"] for line in requests)
    assert [line["status"] for line in requests if line["request_id"] == "abc"] == [422]


def test_text_logs_are_for_people(serve: Callable[..., Server], model: str) -> None:
    server = serve(TARGET, MODEL_PATH=model, LOG_FORMAT="text")
    assert server.get("/label").status == 200
    server.stop()
    (line,) = [line for line in server.log.read_text().splitlines() if "status=200" in line]
    assert "path='/label'" in line
    assert not line.startswith("{")
