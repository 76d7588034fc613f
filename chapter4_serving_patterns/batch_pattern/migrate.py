"""Bring the database to the tables of this code: `python -m chapter4_serving_patterns.batch_pattern.migrate`.

All steps are one transaction. Replicas that start together migrate one after another, and all but the first find
nothing to do.
"""

import sys
import time
from pathlib import Path

import structlog
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from sqlalchemy import func, select

from mlsys import logs
from mlsys.database import Database
from mlsys.errors import MlsysError, NotReady, StartupError

from .settings import Settings

LOCATION = Path(__file__).parent / "migrations"
_LOCK = 0x62617463685F6462
"""Key of the advisory lock, which is shared by the whole database: the bytes of "batch_db"."""
_STATEMENT_TIMEOUT_S = 300.0
_RETRY_S = 1.0


def migrate(database: Database) -> list[str]:
    """Take the steps that are missing, and return their revisions.

    Raises: StartupError if the database is newer than this code, NotReady if it does not answer.
    """
    steps = ScriptDirectory(str(LOCATION))
    with database.session() as session:
        session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        context = MigrationContext.configure(session.connection())
        found = context.get_current_revision()
        try:
            missing = list(steps.iterate_revisions("head", found or "base"))[::-1]
        except RevisionError:
            raise StartupError(
                f"The database is at revision {found}, which this code does not know: a newer release made it."
            ) from None
        with Operations.context(context):
            for step in missing:
                step.module.upgrade()
                context.stamp(steps, step.revision)
        return [step.revision for step in missing]


def migrate_when_ready(database: Database, *, within_s: float) -> list[str]:
    """As `migrate`, for a database that may still be starting. Raises: StartupError after `within_s` seconds."""
    end = time.monotonic() + within_s
    while True:
        try:
            return migrate(database)
        except NotReady as error:
            if time.monotonic() > end:
                raise StartupError(f"The database could not be migrated within {within_s:g} s: {error}") from error
            time.sleep(_RETRY_S)


def main() -> int:
    """The exit code: 0 when the tables are those of this code."""
    try:
        settings = Settings()
        logs.configure(settings)
        database = Database(settings.database_url, statement_timeout_s=_STATEMENT_TIMEOUT_S)
        steps = migrate_when_ready(database, within_s=settings.database_wait_s)
        structlog.get_logger("batch").info("migrated", steps=steps)
        database.dispose()
    except MlsysError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
