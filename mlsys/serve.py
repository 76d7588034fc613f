"""How a service's process starts, stops and refuses to start: `python -m mlsys.serve [--check] package.module:factory`.

Locally, in Compose and in Kubernetes alike. The factory takes no arguments and returns an ASGI app.
"""

import argparse
import ctypes
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Never

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from . import logs
from .errors import SettingsError, StartupError
from .settings import Settings

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Serve, or with --check only build the app. Exit code 3 and one sentence if it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m mlsys.serve", description=__doc__)
    parser.add_argument("target", help="package.module:factory")
    parser.add_argument("--check", action="store_true", help="build the app (settings, model) and open no port")
    arguments = parser.parse_args()
    try:
        settings = Settings()
    except SettingsError as error:
        _refuse(error)
    if arguments.check:
        _build(arguments.target)
    elif settings.workers == 1:
        logs.configure(settings)
        uvicorn.Server(_config(settings, _build(arguments.target))).run()
    else:
        _serve_by_workers(settings, arguments.target)


def _serve_by_workers(settings: Settings, target: str) -> None:
    directory = tempfile.mkdtemp(prefix="metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory  # before a worker imports prometheus_client
    try:
        logs.configure(settings)
        config = _config(settings, partial(_build_in_worker, target, settings, os.getpid()), factory=True)
        supervisor = Supervisor(config, [config.bind_socket()])
        supervisor.run()
    finally:
        shutil.rmtree(directory)
    if supervisor.failed_to_start:
        sys.exit(STARTUP_FAILURE)


def _config(settings: Settings, app: Callable[..., object], *, factory: bool = False) -> uvicorn.Config:
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


class Supervisor(Multiprocess):
    """Uvicorn's supervisor of several workers, which replaces those that die, with two differences.

    The first worker starts alone, so that what prevents a start is said once. At the end the listening socket is closed
    before the workers drain, so that new connections are refused instead of waiting in a queue that nobody serves.
    """

    failed_to_start = False

    def init_processes(self) -> None:
        """Start the first worker and, once it serves, the others."""
        first = Process(self.config, self.sockets)
        first.start()
        self.processes.append(first)
        while first.process.is_alive() and not self.should_exit.is_set() and not first.is_ready(timeout=1):
            self.handle_signals()
            time.sleep(0.02)
        if not first.process.is_alive():
            self.failed_to_start = True
            self.should_exit.set()
        if self.should_exit.is_set():
            return
        for _ in range(1, self.processes_num):
            process = Process(self.config, self.sockets)
            process.start()
            self.processes.append(process)

    def terminate_all(self) -> None:
        """Refuse new connections and let the workers finish what they have."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


def _build_in_worker(target: str, settings: Settings, supervisor: int) -> Callable[..., object]:
    logs.configure(settings)
    _die_with(supervisor)
    return _build(target)


def _build(target: str) -> Callable[..., object]:
    module, _, factory = target.partition(":")
    try:
        app: Callable[..., object] = getattr(importlib.import_module(module), factory)()
    except StartupError as error:
        _refuse(error)
    return app


def _refuse(error: StartupError) -> Never:
    print(f"Cannot start: {error}", file=sys.stderr, flush=True)  # noqa: T201  # logs may not be configured yet
    sys.exit(STARTUP_FAILURE)


def _die_with(parent: int) -> None:
    """Have the kernel send SIGTERM to this process when its parent is gone, however the parent went."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it went before the call
            os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
