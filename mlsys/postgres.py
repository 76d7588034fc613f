"""A PostgreSQL server of one's own, from the programs in a wheel: for `make run` and for tests, without Docker.

PostgreSQL refuses to run as root. For root it runs as `nobody`, without a change to this machine's users or modes: its
data are its own, and it reaches them through its working directory, however private the folders above are; its programs
are copied to the temporary folder where it may not enter their place.
"""

import contextlib
import fcntl
import functools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

import psutil

from .errors import StartupError
from .parent import die_with_parent
from .postgres_wheel import programs
from .processes import STOPS, server_account

_HERE = "/proc/self/cwd"  # the data's folder, for a process that may not walk there from /
_SUPERUSER = "postgres"
_RULES = "host all all 127.0.0.1/32 scram-sha-256\n"  # in place of initdb's, which trust every user of the machine
_LOCK_S = 5.0
_MAKING_S = 60.0


class Postgres:
    """One server with its data below `folder`, listening on 127.0.0.1; a context manager that starts and stops it.

    durable: a commit waits for the disk; without, the data may be lost with the machine, and all is faster.
    environment: the server's variables, by default this process's.
    port: where it listens; 0 before the first start, and the same after every other.
    It ends with the thread that started it.
    """

    def __init__(self, folder: Path, *, durable: bool = True, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.port = 0
        self._durable = durable
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._data = folder / "data"
        self._password = folder / "password"
        self._log = folder / "server.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def url(self, database: str = _SUPERUSER) -> str:
        """Where clients reach a database of it, with the password. Raises: OSError before the first start."""
        return f"postgresql://{_SUPERUSER}:{self._password.read_text()}@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """Of the server's first process; 0 while it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else 0

    def start(self, *, within_s: float = 30.0) -> None:
        """Start it, with new data if there are none yet, and return when it takes connections.

        Raises: StartupError if another server uses the data, or it does not start in time.
        """
        with self._locked() as lock:
            if not self._data.exists():
                self._make_data()
            (self._data / "postmaster.pid").unlink(missing_ok=True)  # of one that was killed: who has the lock knows
            self.port = self.port or _free_port()
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [programs() / "postgres", "-D", _HERE, *self._options()],
                    cwd=self._data,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # a Ctrl-C is for its clients, which have requests to finish
                    pass_fds=[lock],
                    preexec_fn=functools.partial(_before_exec, os.getpid()),
                )
        end = time.monotonic() + within_s
        while not self._takes_connections():
            if not self.pid or time.monotonic() > end:
                self.kill()
                said = self._log.read_text(errors="replace").strip().splitlines() or ["nothing"]
                raise StartupError(f"PostgreSQL with its data in {self.folder} does not start; it said: {said[-1]}")
            time.sleep(0.01)

    def stop(self, *, within_s: float = 10.0) -> None:
        """End it in order: SIGINT, which ends its sessions, where SIGTERM would wait for the last to go by itself."""
        if self.pid and self._process:
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(within_s)
        self.kill()

    def kill(self) -> None:
        """End all its processes at once, as a crash does. The next start recovers what was committed."""
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
                        raise StartupError(f"another PostgreSQL uses the data in {self.folder}: stop it.") from None
                    time.sleep(0.02)
            yield lock.fileno()

    def _make_data(self) -> None:
        making = self.folder / "data.new"  # what was interrupted must not be taken for data
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        os.chown(making, *server_account())
        # The C locale: names are ordered by their bytes, here as in every image.
        _run(making, "initdb", "-D", _HERE, "-U", _SUPERUSER, "-E", "UTF8", "--locale=C", "-A", "trust", "--no-sync")
        (making / "pg_hba.conf").write_text(_RULES)
        password = secrets.token_hex(16)
        _run(
            making, "postgres", "--single", "-D", _HERE, _SUPERUSER, typed=f"ALTER ROLE postgres PASSWORD '{password}'"
        )
        if self._durable:
            os.sync()
        self._password.touch(mode=0o600)
        self._password.write_text(password)
        making.rename(self._data)

    def _options(self) -> list[str]:
        settings = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": ""}
        if not self._durable:
            settings |= dict.fromkeys(["fsync", "synchronous_commit", "full_page_writes"], "off")
        return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

    def _takes_connections(self) -> bool:
        # Its own file says so in line 8, as pg_ctl reads it (src/bin/pg_ctl/pg_ctl.c, wait_for_postmaster_start).
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready"


def _run(folder: Path, program: str, *arguments: str, typed: str = "") -> None:
    """Run a program in the folder to its end. Raises: StartupError with what it said."""
    try:
        done = subprocess.run(
            [programs() / program, *arguments],
            cwd=folder,
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=_MAKING_S,
            preexec_fn=functools.partial(_before_exec, os.getpid()),
        )
    except subprocess.TimeoutExpired:
        raise StartupError(f"PostgreSQL's {program} did not end within {_MAKING_S:g} s in {folder.parent}.") from None
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise StartupError(f"PostgreSQL's {program} failed in {folder.parent}: {said}")


def _before_exec(parent: int) -> None:
    if os.getuid() == 0:
        user, group = server_account()
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    for number in STOPS:
        signal.signal(number, signal.SIG_DFL)
    die_with_parent(parent, signal.SIGINT)  # after the change of user, which would undo it


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
