"""A server program of one's own, for `make run` and for tests: its data locked, ended with whoever started it."""

import contextlib
import fcntl
import functools
import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Self

import psutil

from .errors import StartupError
from .parent import die_with_parent
from .ports import free_port
from .processes import STOPS

_LOCK_S = 5.0


class Daemon(ABC):
    """One server with what it keeps below `folder`, listening on 127.0.0.1; a context manager that starts and stops it.

    environment: the server's variables, by default this process's.
    port: where it listens; 0 before the first start, and the same after every other.
    It ends with the thread that started it.
    """

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]

    def __init__(self, folder: Path, *, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.port = 0
        self.data = folder / "data"
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self.password_file = folder / "password"
        self._log = folder / "server.log"

    @abstractmethod
    def prepare(self) -> None:
        """Have in the folder what the program needs; nobody else does so meanwhile."""

    @abstractmethod
    def command(self) -> list[str | Path]:
        """The program with its arguments. Its working directory is `data`."""

    @abstractmethod
    def takes_connections(self) -> bool:
        """Whether the server that was started is ready."""

    @abstractmethod
    def url(self) -> str:
        """Where clients reach it, with the password. Raises: OSError before the first start."""

    def before_exec(self, parent: int) -> None:
        """In the child: take signals as any program does, and the last one when the process `parent` has gone."""
        for number in STOPS:
            signal.signal(number, signal.SIG_DFL)
        die_with_parent(parent, self.stop_signal)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def password(self) -> str:
        """Without it nobody gets in. Raises: OSError before the first start."""
        return self.password_file.read_text()

    @property
    def pid(self) -> int:
        """Of the server's first process; 0 while it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else 0

    def start(self, *, within_s: float = 30.0) -> None:
        """Start it, with new data if there are none yet, and return when it takes connections.

        Raises: StartupError if another server uses the data, or it does not start in time.
        """
        with self._locked() as lock:
            self.port = self.port or free_port()
            self.prepare()
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    self.command(),
                    cwd=self.data,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # a Ctrl-C is for its clients, which have requests to finish
                    pass_fds=[lock],
                    preexec_fn=functools.partial(self.before_exec, os.getpid()),
                )
        end = time.monotonic() + within_s
        while not self.takes_connections():
            if not self.pid or time.monotonic() > end:
                self.kill()
                said = self._log.read_text(errors="replace").strip().splitlines() or ["nothing"]
                raise StartupError(f"{self.name} with its data in {self.folder} does not start; it said: {said[-1]}")
            time.sleep(0.01)

    def stop(self, *, within_s: float = 10.0) -> None:
        """End it in order."""
        if self.pid and self._process:
            self._process.send_signal(self.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(within_s)
        self.kill()

    def kill(self) -> None:
        """End all its processes at once, as a crash does. The next start recovers what was on the disk."""
        if self.pid and self._process:
            with contextlib.suppress(psutil.NoSuchProcess):
                family = psutil.Process(self.pid).children(recursive=True)
                self._process.kill()
                for child in family:
                    child.kill()
            self._process.wait()

    def restart(self) -> None:
        """Stop it in order and start it again on the same port."""
        self.stop()
        self.start()

    def keep_password(self, password: str) -> None:
        """Write it where the user of this process alone can read it."""
        self.password_file.touch(mode=0o600)
        self.password_file.write_text(password)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """A lock on the data that every process of the server inherits: it is free when the last of them has gone."""
        self.folder.mkdir(parents=True, exist_ok=True)
        end = time.monotonic() + _LOCK_S
        with (self.folder / "lock").open("wb") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise StartupError(f"another {self.name} uses the data in {self.folder}: stop it.") from None
                    time.sleep(0.02)
            yield lock.fileno()
