"""How a service's process starts, stops and refuses to start: `python -m mlsys.serve [--check] package.module:factory`.

Locally, in Compose and in Kubernetes alike. The factory takes no arguments and returns an ASGI app.
"""

import argparse
import importlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.resource_tracker import ensure_running
from types import FrameType
from typing import Never

import structlog
import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from . import logs
from .errors import StartupError
from .parent import die_with_parent
from .settings import Settings

_BACKLOG = 2048  # uvicorn's own
_EXIT_S = 2  # what a worker may take to end, beyond the drain time


def main() -> None:
    """Serve, or with --check only build the app. Exit code 3 and one sentence if it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m mlsys.serve", description=__doc__)
    parser.add_argument("target", help="package.module:factory")
    parser.add_argument("--check", action="store_true", help="build the app (settings, model) and open no port")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)
    try:
        settings = Settings()
        if arguments.check:
            _build(arguments.target)
        else:
            _serve(settings, arguments.target)
    except StartupError as error:
        refuse(error)


def _serve(settings: Settings, target: str) -> None:
    logs.configure(settings)
    listener = bind(settings)
    structlog.get_logger("mlsys.serve").info("starting", host=settings.host, port=settings.port)
    if settings.workers == 1:
        Server(configuration(settings, _build(target))).run(sockets=[listener])
    else:
        _serve_by_workers(settings, target, listener)


def bind(settings: Settings) -> socket.socket:
    """A socket that listens on the settings' address. Raises: StartupError."""
    listener = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(_BACKLOG)  # at once: two that have only bound the same port would both go on
    except OSError as error:
        address = f"HOST={settings.host} PORT={settings.port}"
        reason = (error.strerror or str(error)).lower()
        raise StartupError(f"{address} cannot be listened on: {reason}; stop its owner or set another.") from None
    return listener


def _serve_by_workers(settings: Settings, target: str, listener: socket.socket) -> None:
    directory = tempfile.mkdtemp(prefix="metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory  # before a worker imports prometheus_client
    try:
        config = configuration(settings, partial(_build_in_worker, target, settings, os.getpid()), factory=True)
        supervisor = Supervisor(config, [listener])
        supervisor.run()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if supervisor.failed_to_start:
        sys.exit(STARTUP_FAILURE)


def configuration(settings: Settings, app: Callable[..., object], *, factory: bool = False) -> uvicorn.Config:
    """How uvicorn serves an app, or what a factory makes."""
    return uvicorn.Config(
        app,
        factory=factory,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,  # the edge writes it
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=settings.drain_timeout_s,
    )


class Server(uvicorn.Server):
    """Uvicorn's server, for an app that may wait for what it depends on before it starts (mlsys.app.Service)."""

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

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On SIGINT and SIGTERM."""
        super().handle_exit(sig, frame)
        if not self.started and hasattr(self._app, "stop_waiting"):
            self._app.stop_waiting()

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
        self._start_worker()
        first = self.processes[0]
        while first.process.is_alive() and not self.should_exit.is_set() and not first.is_ready(timeout=1):
            self.handle_signals()
            time.sleep(0.02)
        self.handle_signals()
        if self.should_exit.is_set():
            return
        if first.process.is_alive():
            for _ in range(1, self.processes_num):
                self._start_worker()
        else:
            self.failed_to_start = True
            self.should_exit.set()

    def _start_worker(self) -> None:
        process = Worker(self.config, self.sockets)
        with _sigint_withheld():
            process.start()
        self.processes.append(process)

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
        with _sigint_withheld():
            super().keep_subprocess_alive()
        if any(process.exitcode == STARTUP_FAILURE for process in self.processes):
            self.failed_to_start = True


class Worker(Process):
    """Uvicorn's worker, with our server, whose answers about being ready are about the server that runs."""

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        """Runs in the worker."""
        # Made here: the thread that answers the supervisor may else make a second one, which never runs.
        self._server = Server(self.config)
        super().target(sockets)


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


def _build_in_worker(target: str, settings: Settings, supervisor: int) -> Callable[..., object]:
    logs.configure(settings)
    die_with_parent(supervisor, signal.SIGTERM)
    try:
        return _build(target)
    except StartupError as error:
        refuse(error)


def _build(target: str) -> Callable[..., object]:
    module, _, factory = target.partition(":")
    try:
        build: Callable[[], Callable[..., object]] = getattr(importlib.import_module(module), factory)
    except (ModuleNotFoundError, AttributeError, ValueError) as error:
        raise StartupError(f"there is no {target} ({error}); name it as package.module:factory.") from error
    return build()


def leave(_: int, __: FrameType | None) -> Never:
    """The signal handler while nothing is served: end, and call it no failure."""
    sys.exit(0)  # also after uvicorn has drained: it raises the signal again that ended it


def refuse(error: StartupError) -> Never:
    """End with the sentence, and the exit code that uvicorn's supervisor knows."""
    print(f"Cannot start: {error}", file=sys.stderr, flush=True)  # noqa: T201  # logs may not be configured yet
    sys.exit(STARTUP_FAILURE)


if __name__ == "__main__":
    main()
