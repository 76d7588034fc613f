"""The servers that `make run` starts beside a pattern's processes, so that it needs nothing but this repository."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from . import folder
from .processes import MARK


@contextmanager
def servers(directory: Path, run_path: Path, environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """What the pattern's packages declare by their settings, unless the environment names one: variables with URLs.

    A field `database_url` is a PostgreSQL with its data in `run_path`/postgres. The servers end with the block.
    Raises: StartupError.
    """
    if environment.get("DATABASE_URL") or "database_url" not in folder.settings(directory):
        yield {}
        return
    from .postgres import Postgres  # most patterns have none, and start without the time that this takes

    # Not the mark of this run: a manager ends what carries that one, before the last request may be over.
    own = {**environment, MARK: f"{directory}#postgres"}
    with Postgres(run_path / "postgres", environment=own) as server:
        yield {"DATABASE_URL": server.url()}
