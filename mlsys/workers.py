"""A service's server, worker processes and their supervisor: uvicorn's, where they must behave otherwise."""

import gc
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.resource_tracker import ensure_running
from types import FrameType
from typing import Never

import structlog
import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from .errors import StartupError

_LOOK_S = 0.1  # between two looks whether a worker that does not answer is alive
_EXIT_S = 2  # what a worker may take to end, beyond the drain time


def refuse(error: StartupError) -> Never:
    """End with the sentence, and the exit code that uvicorn's supervisor knows."""
    print(f"Cannot start: {error}", file=sys.stderr, flush=True)  # noqa: T201  # logs may not be configured yet
    sys.exit(STARTUP_FAILURE)


class Server(uvicorn.Server):
    """Uvicorn's server, for an app that may wait before it starts, and that is told of a stop (mlsys.app.Service)."""

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve. Ends the process with code 3 and one sentence if the app refuses to start."""
        try:
            super().run(sockets)
        except SystemExit:
            refusal = getattr(self._app, "refusal", None)
            if not refusal:
                raise
            if self.should_exit:  # a signal ended the wait
                sys.exit(0)
            refuse(refusal)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the app; one that was told to stop while it was loaded is told now, before it waits for anything."""
        if self.should_exit:
            self._tell_app_to_stop()
        await super().startup(sockets)
        # What is loaded now stays. Else each full collection goes through all of it again, which takes 60 ms and more,
        # and comes every second under load.
        gc.collect()
        gc.freeze()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On SIGINT and SIGTERM."""
        super().handle_exit(sig, frame)
        self._tell_app_to_stop()

    def _tell_app_to_stop(self) -> None:
        if hasattr(self._app, "stop"):
            self._app.stop()

    @property
    def _app(self) -> object:
        # Without uvicorn's wrapping. Its class is not imported: the supervisor would import all that a worker needs.
        loaded = self.config.loaded_app if self.config.loaded else None
        return getattr(loaded, "app", loaded)


class Supervisor(Multiprocess):
    """Uvicorn's supervisor of several workers, which replaces those that die, with four differences.

    The first worker starts alone, so that what prevents a start is said once. A closed terminal (SIGHUP) ends the
    service. At the end the listening socket is closed before the workers drain, so that new connections are refused
    instead of waiting in a queue that nobody serves; and a worker that hangs is killed after the drain time.
    """

    failed_to_start = False

    def init_processes(self) -> None:
        """Start the first worker and, once it serves, the others."""
        ensure_running()  # multiprocessing's helper: its start would let SIGINT through again
        first = self._started_worker()
        self.processes.append(first)
        while first.process.is_alive() and not self.should_exit.is_set() and not first.is_ready(timeout=1):
            self.handle_signals()
            time.sleep(0.02)
        self.handle_signals()
        if self.should_exit.is_set():
            return
        if first.process.is_alive():
            self.processes += [self._started_worker() for _ in range(1, self.processes_num)]
        else:
            self.failed_to_start = True
            self.should_exit.set()

    def _started_worker(self) -> "Worker":
        worker = Worker(self.config, self.sockets)
        with _sigint_withheld():
            worker.start()
        return worker

    def terminate_all(self) -> None:
        """Refuse new connections and let the workers finish what they have."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def join_all(self) -> None:
        """Wait for the workers; kill those that hang."""
        end = time.monotonic() + (self.config.timeout_graceful_shutdown or 0) + _EXIT_S
        for process in self.processes:
            process.process.join(max(0.0, end - time.monotonic()))
            if process.process.is_alive():
                process.kill()
        super().join_all()

    def handle_hup(self) -> None:
        """End: the terminal is gone."""
        self.should_exit.set()

    def keep_subprocess_alive(self) -> None:
        """Replace dead workers; a replacement that cannot start ends the service, with an exit code that says so."""
        for place, worker in enumerate(self.processes):
            if self.should_exit.is_set() or worker.is_alive(self.config.timeout_worker_healthcheck):
                continue
            self.handle_signals()  # who ended the worker may have told us to end as well
            if self.should_exit.is_set():
                return
            worker.kill()  # it may be hung
            worker.join()
            if worker.exitcode == STARTUP_FAILURE:
                self.failed_to_start = True
                self.should_exit.set()
            else:
                structlog.get_logger("mlsys.serve").error("worker died", pid=worker.pid, exitcode=worker.exitcode)
                self.processes[place] = self._started_worker()


class Worker(Process):
    """Uvicorn's worker, with our server, whose answers about being ready are about the server that runs."""

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        """Runs in the worker."""
        # Made here: the thread that answers the supervisor may else make a second one, which never runs.
        self._server = Server(self.config)
        super().target(sockets)

    def _healthcheck(self, timeout: float) -> bool | None:
        """As uvicorn's, but a worker that has died is not waited for."""
        try:
            self.parent_conn.send(b"ping")
            end = time.monotonic() + timeout
            while not self.parent_conn.poll(_LOOK_S):
                if time.monotonic() > end or not self.process.is_alive():
                    return None
            return bool(self.parent_conn.recv())
        except (OSError, EOFError):
            return None


@contextmanager
def _sigint_withheld() -> Iterator[None]:
    """Delay Ctrl-C here; a process started meanwhile never gets it, and is ended by the supervisor instead.

    Else each worker that is still importing would print a traceback.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
