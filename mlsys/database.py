"""PostgreSQL for a service: a pool, transactions, and one error for everything that passes by itself.

Synchronous, for FastAPI's `def` routes, which run in threads. Every wait has an end: for a connection of the pool, for
the server to take one, for a statement there, and here for a server that is silent.
"""

import asyncio
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psycopg2
import sqlalchemy
import structlog
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg2 import errorcodes, extensions
from pydantic import SecretStr
from sqlalchemy import exc
from sqlalchemy.orm import Session, sessionmaker

from .errors import InvalidInput, NotReady, ServiceError, SettingsError

T = TypeVar("T")
_AGAIN = {errorcodes.SERIALIZATION_FAILURE, errorcodes.DEADLOCK_DETECTED}
_PASSING = {*_AGAIN, errorcodes.READ_ONLY_SQL_TRANSACTION}  # read-only: the server has become a standby
_SLACK_S = 1.0  # what the server's own timeout is given to arrive here


class Database:
    """One database, from any number of threads. Nothing is opened before the first use.

    url: `postgresql://user:password@host:port/name`; psycopg2 is the driver.
    pool_size: connections at most. pool_timeout_s: seconds that a thread waits for one of them.
    connect_timeout_s, statement_timeout_s: seconds for the server to take a connection, and to run one statement.
    Raises: SettingsError if the URL is not one of PostgreSQL.
    """

    def __init__(
        self,
        url: SecretStr | str,
        *,
        pool_size: int = 10,
        pool_timeout_s: float = 2.0,
        connect_timeout_s: float = 3.0,
        statement_timeout_s: float = 5.0,
    ) -> None:
        extensions.set_wait_callback(_wait)  # of all psycopg2; a connection without `limit_s` waits as ever
        limits = {"connecting_s": connect_timeout_s, "limit_s": statement_timeout_s + _SLACK_S}
        milliseconds = int(statement_timeout_s * 1000)
        self.engine = sqlalchemy.create_engine(
            _parsed(url.get_secret_value() if isinstance(url, SecretStr) else url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_timeout_s,
            pool_pre_ping=True,  # connections of a server that was restarted are replaced, not tried
            hide_parameters=True,  # an error's text is logged
            connect_args={
                "connection_factory": type("Bounded", (extensions.connection,), limits),
                "options": f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds} "
                f"-c idle_in_transaction_session_timeout={10 * milliseconds} -c timezone=UTC",
            },
        )
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self._heads: dict[Path, set[str]] = {}
        self._log = structlog.get_logger("mlsys.database")

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction: committed at the end of the block, rolled back if an exception leaves it.

        Raises: NotReady if the server is away, busy or in conflict with another transaction; if it went during the
        commit, nobody knows whether the transaction counts. InvalidInput for a value that PostgreSQL cannot hold.
        Violated constraints stay SQLAlchemy's IntegrityError: what they mean, the caller knows.
        """
        try:
            with self._sessions.begin() as session:
                yield session
        except (exc.DBAPIError, exc.TimeoutError) as error:
            known = _translated(error)
            if not known:
                raise
            self._log.warning("the database refused", reason=_said(error))
            raise known from error

    def run(self, work: Callable[[Session], T], *, attempts: int = 3) -> T:
        """`work(session)` in a transaction, anew after a deadlock or a serialisation failure. Raises: as `session`."""
        for _ in range(attempts - 1):
            try:
                with self.session() as session:
                    return work(session)
            except NotReady as error:
                if _code(error.__cause__) not in _AGAIN:
                    raise
        with self.session() as session:
            return work(session)

    async def ready(self) -> None:
        """A check for `Service.ready_when` and `start_when`. Raises: NotReady with what the driver said."""
        await asyncio.to_thread(self._ask, lambda connection: connection.execute(sqlalchemy.text("SELECT 1")))

    async def at_head(self, scripts: Path) -> None:
        """A check that Alembic's migrations in the folder `scripts` have all run.

        Raises: NotReady naming the revision that the database has and the one it must have.
        """
        await asyncio.to_thread(self._compare, scripts)

    def dispose(self) -> None:
        """Close the connections that nobody uses."""
        self.engine.dispose()

    def _compare(self, scripts: Path) -> None:
        if scripts not in self._heads:
            self._heads[scripts] = set(ScriptDirectory(str(scripts)).get_heads())
        wanted = self._heads[scripts]
        found = set(self._ask(lambda connection: MigrationContext.configure(connection).get_current_heads()))
        if found != wanted:
            has, must = (", ".join(sorted(revisions)) or "none" for revisions in (found, wanted))
            raise NotReady(f"The database is at revision {has} and must be at {must}: run its migrations.")

    def _ask(self, question: Callable[[sqlalchemy.Connection], T]) -> T:
        try:
            with self.engine.connect() as connection:
                return question(connection)
        except (exc.DBAPIError, exc.TimeoutError) as error:
            raise NotReady(f"The database cannot be used: {_said(error)}") from error


def _parsed(url: str) -> sqlalchemy.URL:
    try:
        parsed = sqlalchemy.make_url(url)
    except (exc.ArgumentError, ValueError):
        parsed = None
    if not parsed or parsed.drivername not in {"postgresql", "postgres", "postgresql+psycopg2"}:
        raise SettingsError("DATABASE_URL is not valid: it must be postgresql://user:password@host:port/name.")
    return parsed.set(drivername="postgresql+psycopg2")


def _translated(error: exc.SQLAlchemyError) -> ServiceError | None:
    """The error that a caller of the service sees, or None if it is our mistake."""
    if isinstance(error, exc.TimeoutError):
        return NotReady("All connections to the database are in use; try again.")
    if isinstance(error, exc.DataError):
        return InvalidInput(f"A value cannot be stored: {_said(error)}")
    if not isinstance(error, exc.DBAPIError):
        return None
    code = _code(error)
    if code in _AGAIN:
        return NotReady("Another change was in the way; try again.")
    unexplained = type(error.orig) is psycopg2.DatabaseError and not code  # the connection broke within an answer
    if isinstance(error, exc.OperationalError) or error.connection_invalidated or unexplained or code in _PASSING:
        return NotReady("The database does not answer; try again.")
    return None


def _code(error: BaseException | None) -> str | None:
    """PostgreSQL's code of an error, if it is one that the server sent (PostgreSQL's appendix A)."""
    code: str | None = getattr(getattr(error, "orig", None), "pgcode", None)
    return code


def _said(error: exc.SQLAlchemyError) -> str:
    """What the driver said, in one line and without the statement."""
    return " ".join(str(getattr(error, "orig", None) or error).split())


def _wait(connection: extensions.connection) -> None:
    """Wait until the connection's operation is done: psycopg2 calls it wherever it would wait for the server.

    Raises: psycopg2.OperationalError after the connection's `connecting_s` or `limit_s`, which breaks the connection.
    """
    connecting = connection.status == extensions.STATUS_SETUP
    limit_s = getattr(connection, "connecting_s" if connecting else "limit_s", None)
    end = time.monotonic() + limit_s if limit_s else None
    events = {extensions.POLL_READ: select.POLLIN, extensions.POLL_WRITE: select.POLLOUT}
    while (state := connection.poll()) != extensions.POLL_OK:
        poll = select.poll()
        poll.register(connection.fileno(), events[state])
        left_ms = None if end is None else max(0.0, end - time.monotonic()) * 1000
        if not poll.poll(left_ms):
            raise psycopg2.OperationalError(f"the server was silent for {limit_s:g} s")
