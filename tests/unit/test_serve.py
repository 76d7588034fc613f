"""Starting and refusing to start. What happens to running processes is in tests/e2e/test_faults.py."""

import http.client
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import uvicorn
from uvicorn.config import STARTUP_FAILURE

from mlsys.catalogue import ROOT
from mlsys.ports import free_port
from mlsys.testing import Server, eventually
from mlsys.workers import Worker

PROBE = """
import gc
import os
import signal
from fastapi.responses import StreamingResponse
from mlsys.app import Service
from mlsys.errors import NotReady, StartupError
from mlsys.settings import Settings

def fine():
    return Service(title="probe", description="", settings=Settings())

def breaks_off():
    app = fine()

    @app.get("/half")
    async def half() -> StreamingResponse:
        async def parts():
            yield b"the first half"
            raise KeyError("the second half")

        return StreamingResponse(parts())

    return app

def tells_what_is_collected():
    app = fine()
    app.get("/collected")(lambda: {"never": gc.get_freeze_count(), "each time": len(gc.get_objects())})
    return app

def waits(within_s=60.0):
    app = fine()

    async def coffee_is_made():
        said = open(os.environ["FLAG"]).read()
        if said != "made":
            raise StartupError("There is tea") if said == "tea" else NotReady("The coffee is being made.")

    app.start_when("coffee", coffee_is_made, within_s=within_s)
    return app

def waits_briefly():
    return waits(0.3)

def is_stopped_while_it_loads():
    os.kill(os.getpid(), signal.SIGTERM)
    return waits()

def refuses():
    raise StartupError("There is no coffee")

def breaks():
    raise KeyError("coffee")

def refuses_a_replacement():
    flag = os.environ["FLAG"]
    if os.path.exists(flag):
        raise StartupError("There is no more coffee")
    return fine()
"""


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module `probe` with factories, importable by the servers that the test starts."""
    (tmp_path / "probe.py").write_text(PROBE)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{tmp_path}")
    return tmp_path


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mlsys.serve", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


def test_check_of_a_factory_that_works_says_nothing_and_opens_no_port(probe: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("--check", "probe:fine", PORT=str(taken.getsockname()[1]))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("arguments", [["probe:refuses"], ["--check", "probe:refuses"]])
def test_a_reason_not_to_start_is_said_once_and_ends_the_process(
    probe: Path, arguments: list[str], workers: str
) -> None:
    done = run(*arguments, PORT=str(free_port()), WORKERS=workers)
    assert (done.returncode, done.stderr) == (STARTUP_FAILURE, "Cannot start: There is no coffee\n")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_factory_that_breaks_ends_the_process_with_one_trace(probe: Path, workers: str) -> None:
    done = run("probe:breaks", PORT=str(free_port()), WORKERS=workers)
    assert done.returncode != 0
    assert done.stderr.count("KeyError: 'coffee'") == 1


@pytest.mark.parametrize(("name", "value"), [("PORT", "0"), ("WORKERS", "many"), ("LOG_LEVEL", "loud")])
def test_a_wrong_setting_is_one_sentence_with_its_name_and_value(probe: Path, name: str, value: str) -> None:
    done = run("probe:fine", **{name: value})
    assert done.returncode == STARTUP_FAILURE
    assert done.stderr.startswith(f"Cannot start: {name}='{value}' is not valid: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_busy_port_is_refused_with_one_sentence(probe: Path, workers: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("probe:fine", PORT=str(port), WORKERS=workers)
    assert (done.returncode, done.stdout) == (STARTUP_FAILURE, "")
    assert done.stderr == (
        f"Cannot start: HOST=127.0.0.1 PORT={port} cannot be listened on: "
        "address already in use; stop its owner or set another.\n"
    )


@pytest.mark.parametrize("workers", ["1", "2"])
def test_of_two_that_start_at_once_on_one_port_one_is_refused(
    probe: Path, start: Callable[..., Server], workers: str
) -> None:
    port = str(free_port())
    both = [start("probe:fine", PORT=port, WORKERS=workers) for _ in range(2)]
    eventually(lambda: [server.process.poll() for server in both].count(STARTUP_FAILURE) == 1, deadline_s=20)
    (winner,) = [server for server in both if server.process.poll() is None]
    eventually(winner.is_ready, deadline_s=20)
    assert winner.stop() == 0


@pytest.mark.parametrize("target", ["nonsense", "no.such.module:factory", "probe:no_such_factory"])
def test_a_target_that_is_not_there_is_refused_with_one_sentence(probe: Path, target: str) -> None:
    done = run("--check", target)
    assert done.returncode == STARTUP_FAILURE
    assert done.stderr.startswith(f"Cannot start: there is no {target} (")
    assert done.stderr.count("\n") == 1


def test_a_host_that_is_not_of_this_machine_is_refused_with_one_sentence(probe: Path) -> None:
    done = run("probe:fine", HOST="192.0.2.1", PORT=str(free_port()))
    assert done.returncode == STARTUP_FAILURE
    assert done.stderr.startswith("Cannot start: HOST=192.0.2.1 PORT=")


def test_an_answer_that_breaks_off_is_seen_to_be_cut_and_its_reason_is_logged_once(
    probe: Path, serve: Callable[..., Server]
) -> None:
    server = serve("probe:breaks_off")
    with pytest.raises(http.client.IncompleteRead) as cut:
        server.get("/half")
    assert cut.value.partial == b"the first half"
    assert server.stop() == 0
    assert server.log.read_text().count("KeyError: 'the second half'") == 1


def test_an_ipv6_address_can_be_served(probe: Path, start: Callable[..., Server]) -> None:
    server = start("probe:fine", HOST="::1")

    def answers() -> bool:
        try:
            socket.create_connection(("::1", server.port), timeout=5).close()
        except OSError:
            return False
        return True

    eventually(answers, deadline_s=20)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_that_is_told_to_stop_ends_quietly_with_0(
    probe: Path, serve: Callable[..., Server], workers: str, number: int
) -> None:
    server = serve("probe:fine", WORKERS=workers)
    os.killpg(server.process.pid, number)
    assert server.process.wait(15) == 0
    assert "Traceback" not in server.log.read_text()


def test_a_service_of_several_workers_ends_when_its_terminal_is_closed(
    probe: Path, serve: Callable[..., Server]
) -> None:
    server = serve("probe:fine", WORKERS="2")
    workers = server.workers()
    assert server.stop(signal.SIGHUP) == 0
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_ctrl_c_while_the_workers_start_is_quiet(probe: Path, start: Callable[..., Server]) -> None:
    server = start("probe:fine", WORKERS="2")
    eventually(lambda: "Started parent process" in server.log.read_text(), deadline_s=20)
    os.killpg(server.process.pid, signal.SIGINT)
    assert server.process.wait(15) == 0
    assert "Traceback" not in server.log.read_text()


def test_a_worker_that_dies_before_it_answers_is_not_waited_for() -> None:
    worker = Worker(uvicorn.Config("none"), [])
    worker.process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    worker.start()
    threading.Timer(0.5, worker.process.kill).start()
    began = time.monotonic()
    assert not worker.is_alive(timeout=30)
    assert time.monotonic() - began < 10


def test_a_replacement_that_cannot_start_ends_the_service_with_its_reason(
    probe: Path, serve: Callable[..., Server]
) -> None:
    flag = probe / "flag"
    server = serve("probe:refuses_a_replacement", WORKERS="2", FLAG=str(flag))
    eventually(lambda: server.log.read_text().count("Application startup complete") == 2, deadline_s=20)
    flag.touch()
    os.kill(server.workers()[0], signal.SIGKILL)
    assert server.process.wait(30) == STARTUP_FAILURE
    assert server.log.read_text().count("Cannot start: There is no more coffee") == 1


def test_the_directory_of_the_metrics_is_gone_when_the_service_has_ended(
    probe: Path, serve: Callable[..., Server]
) -> None:
    server = serve("probe:fine", WORKERS="2")
    assert len(list(probe.glob("metrics-*"))) == 1
    server.stop()
    assert list(probe.glob("metrics-*")) == []


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("target", "flag", "sentence"),
    [
        ("probe:waits", "tea", "There is tea"),
        ("probe:waits_briefly", "water", "coffee was not usable within 0.3 s: The coffee is being made."),
    ],
)
def test_a_condition_that_does_not_come_to_hold_is_said_once_and_ends_the_process(
    probe: Path, target: str, flag: str, sentence: str, workers: str
) -> None:
    (probe / "flag").write_text(flag)
    done = run(target, PORT=str(free_port()), WORKERS=workers, FLAG=str(probe / "flag"))
    assert (done.returncode, done.stderr) == (STARTUP_FAILURE, f"Cannot start: {sentence}\n")
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_was_loaded_is_not_gone_through_by_each_collection_of_garbage(
    probe: Path, start: Callable[..., Server], workers: str
) -> None:
    server = start("probe:tells_what_is_collected", WORKERS=workers)
    eventually(server.is_ready, deadline_s=20)
    counts = server.get("/collected").json
    assert counts["never"] > 10 * counts["each time"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_service_answers_nobody_before_its_condition_holds(
    probe: Path, start: Callable[..., Server], workers: str
) -> None:
    (probe / "flag").write_text("water")
    server = start("probe:waits", WORKERS=workers, FLAG=str(probe / "flag"))
    eventually(lambda: "being made" in server.log.read_text(), deadline_s=20)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=0.3)
    connection.request("GET", "/health")
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()
    (probe / "flag").write_text("made")
    eventually(server.is_ready, deadline_s=20)
    assert server.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_that_waits_for_its_condition_can_be_stopped(
    probe: Path, start: Callable[..., Server], number: int, workers: str
) -> None:
    (probe / "flag").write_text("water")
    server = start("probe:waits", WORKERS=workers, FLAG=str(probe / "flag"))
    eventually(lambda: "being made" in server.log.read_text(), deadline_s=20)
    assert server.stop(number, deadline_s=5) == 0
    assert "Traceback" not in server.log.read_text()


def test_a_worker_that_is_told_to_stop_while_it_loads_its_app_does_not_begin_to_wait(probe: Path) -> None:
    (probe / "flag").write_text("water")
    config = f"uvicorn.Config('probe:is_stopped_while_it_loads', factory=True, port={free_port()})"
    done = subprocess.run(
        [sys.executable, "-c", f"import uvicorn, mlsys.workers; mlsys.workers.Server({config}).run()"],
        env={**os.environ, "FLAG": str(probe / "flag")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)


def test_a_check_of_the_factory_waits_for_nothing(probe: Path) -> None:
    done = run("--check", "probe:waits", FLAG="nowhere")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
