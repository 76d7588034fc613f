"""A PostgreSQL server of one's own, from the programs in a wheel: for `make run` and for tests, without Docker.

PostgreSQL refuses to run as root. For root it runs as `nobody`, without a change to this machine's users or modes: its
data are its own, and it reaches them through its working directory, however private the folders above are; its programs
are copied to the temporary folder where it may not enter their place.
"""

import functools
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .daemon import Daemon
from .errors import StartupError
from .postgres_wheel import programs
from .processes import server_account

_HERE = "/proc/self/cwd"  # the data's folder, for a process that may not walk there from /
_SUPERUSER = "postgres"
_RULES = "host all all 127.0.0.1/32 scram-sha-256\n"  # in place of initdb's, which trust every user of the machine
_MAKING_S = 60.0


class Postgres(Daemon):
    """One server. durable: a commit waits for the disk; without, the data may be lost with the machine, and all is
    faster. The rest is as for every Daemon.
    """

    name = "PostgreSQL"
    stop_signal = signal.SIGINT  # ends its sessions, where SIGTERM would wait for the last to go by itself

    def __init__(self, folder: Path, *, durable: bool = True, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(folder, environment=environment)
        self._durable = durable

    def url(self, database: str = _SUPERUSER) -> str:
        """Where clients reach a database of it, with the password. Raises: OSError before the first start."""
        return f"postgresql://{_SUPERUSER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def prepare(self) -> None:
        """Have a cluster in the folder."""
        if not self.data.exists():
            self._make_data()
        (self.data / "postmaster.pid").unlink(missing_ok=True)  # of one that was killed: who has the lock knows

    def command(self) -> list[str | Path]:
        """The server with its options."""
        return [programs() / "postgres", "-D", _HERE, *self._options()]

    def takes_connections(self) -> bool:
        """Its own file says so in line 8, as pg_ctl reads it (src/bin/pg_ctl/pg_ctl.c, wait_for_postmaster_start)."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready"

    def before_exec(self, parent: int) -> None:
        """Become nobody, if this is root, and then as any server: the change of user undoes what was asked before."""
        if os.getuid() == 0:
            user, group = server_account()
            os.setgroups([])
            os.setgid(group)
            os.setuid(user)
        super().before_exec(parent)

    def _make_data(self) -> None:
        making = self.folder / "data.new"  # what was interrupted must not be taken for data
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        os.chown(making, *server_account())
        # The C locale: names are ordered by their bytes, here as in every image.
        self._run(
            making, "initdb", "-D", _HERE, "-U", _SUPERUSER, "-E", "UTF8", "--locale=C", "-A", "trust", "--no-sync"
        )
        (making / "pg_hba.conf").write_text(_RULES)
        password = secrets.token_hex(16)
        self._run(
            making, "postgres", "--single", "-D", _HERE, _SUPERUSER, typed=f"ALTER ROLE postgres PASSWORD '{password}'"
        )
        if self._durable:
            os.sync()
        self.keep_password(password)
        making.rename(self.data)

    def _options(self) -> list[str]:
        settings = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": ""}
        if not self._durable:
            settings |= dict.fromkeys(["fsync", "synchronous_commit", "full_page_writes"], "off")
        return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

    def _run(self, folder: Path, program: str, *arguments: str, typed: str = "") -> None:
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
                preexec_fn=functools.partial(self.before_exec, os.getpid()),
            )
        except subprocess.TimeoutExpired:
            raise StartupError(f"PostgreSQL's {program} did not end within {_MAKING_S:g} s in {self.folder}.") from None
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split())
            raise StartupError(f"PostgreSQL's {program} failed in {self.folder}: {said}")
