"""The servers that `make run` starts beside a pattern's processes, so that it needs nothing but this repository."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from . import folder
from .daemon import Daemon
from .processes import MARK


@contextmanager
def started(directory: Path, run_path: Path, environment: Mapping[str, str]) -> Iterator[dict[str, Daemon]]:
    """What the pattern's packages declare by their settings, unless the environment names one: by the variable that is
    to have its URL.

    A field `database_url` is a PostgreSQL with its data in `run_path`/postgres, `redis_url` a Redis with its own in
    `run_path`/redis and the pattern's redis.conf, if it has one. The servers end with the block.
    Raises: StartupError.
    """
    declared = folder.settings(directory)
    with ExitStack() as running:
        servers: dict[str, Daemon] = {}
        if "database_url" in declared and not environment.get("DATABASE_URL"):
            from .postgres import Postgres  # most patterns have none, and start without the time that this takes

            own = _with_own_mark(environment, directory, "postgres")
            servers["DATABASE_URL"] = running.enter_context(Postgres(run_path / "postgres", environment=own))
        if "redis_url" in declared and not environment.get("REDIS_URL"):
            from .redis_server import RedisServer

            file = directory / "redis.conf"
            server = RedisServer(
                run_path / "redis",
                configuration=file if file.exists() else None,
                environment=_with_own_mark(environment, directory, "redis"),
            )
            servers["REDIS_URL"] = running.enter_context(server)
        yield servers


def _with_own_mark(environment: Mapping[str, str], directory: Path, server: str) -> dict[str, str]:
    """Not with the mark of this run: a manager ends what carries that, before the last request may be over."""
    return {**environment, MARK: f"{directory}#{server}"}
