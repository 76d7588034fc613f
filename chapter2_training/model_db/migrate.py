"""Bring the database to the tables of this code: `python -m chapter2_training.model_db.migrate`.

All steps are one transaction, so that a migration that is killed has not happened. Replicas that start together migrate
one after another, and all but the first find nothing to do.
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
from sqlalchemy.exc import ProgrammingError

from mlsys import logs
from mlsys.database import Database
from mlsys.errors import MlsysError, NotReady, StartupError

from .settings import StoreSettings

LOCATION = Path(__file__).parent / "migrations"
_LOCK = 0x6D6F64656C5F6462
"""Key of the advisory lock, which is shared by the whole database: the bytes of "model_db"."""
_WITHIN_S = 60.0
STATEMENT_TIMEOUT_S = 300.0
"""Of a step on large tables, and of waiting for another replica's steps."""
_RETRY_S = 1.0  # each look that fails is a line in the log


def migrate(database: Database, *, to: str = "head") -> list[str]:
    """Take the steps that are missing, and return their revisions.

    Raises: StartupError if the database is newer than this code, NotReady if it does not answer.
    """
    steps = ScriptDirectory(str(LOCATION))
    with database.session() as session:
        session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        context = MigrationContext.configure(session.connection())
        found = context.get_current_revision()
        try:
            missing = list(steps.iterate_revisions(to, found or "base"))[::-1]
        except RevisionError:
            raise StartupError(
                f"The database is at revision {found}, which this code does not know: it was migrated by a newer "
                "release of the registry. Run that release, or restore the database from before it."
            ) from None
        with Operations.context(context):
            for step in missing:
                step.module.upgrade()
                context.stamp(steps, step.revision)
        return [step.revision for step in missing]


def migrate_when_ready(database: Database, *, within_s: float = _WITHIN_S) -> None:
    """As `migrate`, for a database that may still be starting. Raises: StartupError after `within_s` seconds."""
    end = time.monotonic() + within_s
    log = structlog.get_logger("model_db")
    while True:
        try:
            log.info("migrated", steps=migrate(database))
        except NotReady as error:
            if time.monotonic() > end:
                reason = _said(error.__cause__ or error)
                raise StartupError(f"The database could not be migrated within {within_s:g} s: {reason}") from error
            time.sleep(_RETRY_S)
        except ProgrammingError as error:
            raise StartupError(f"The database refuses the migration: {_said(error)}") from error
        else:
            return


def _said(error: BaseException) -> str:
    """What the server or the driver said, in one line and without the statement."""
    return " ".join(str(getattr(error, "orig", error)).split())


def main() -> int:
    """The exit code: 0 when the tables are those of this code."""
    try:
        settings = StoreSettings()
        logs.configure(settings)
        database = Database(settings.database_url, statement_timeout_s=STATEMENT_TIMEOUT_S)
        migrate_when_ready(database)
        database.dispose()
    except MlsysError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
