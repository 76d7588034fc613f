"""The job's connection to PostgreSQL, and the version under which its predictions are kept."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from psycopg2 import extensions
from psycopg2.extensions import connection as Connection  # noqa: N812  # it is a class

from mlsys.database import Database
from mlsys.metadata import Metadata
from mlsys.model import Model

from . import prediction
from .settings import Settings

# Statistics of tables that are being filled are always out of date: by them PostgreSQL may join a million rows with a
# million others by a loop within a loop. And to compile a statement takes longer than a chunk.
_FOR_BULK = "SET enable_nestloop = off; SET jit = off"
_CONNECT_TIMEOUT_S = 3


def database_of(settings: Settings) -> Database:
    """The database for COPY, with the job's patience for a statement. Nothing is opened yet. Raises: SettingsError."""
    given = settings.database_url.get_secret_value()
    timeout = f"connect_timeout={_CONNECT_TIMEOUT_S}"  # libpq's own, because `connected` connects without a callback
    url = given if "connect_timeout=" in given else f"{given}{'&' if '?' in given else '?'}{timeout}"
    return Database(url, pool_size=1, statement_timeout_s=settings.statement_timeout_s)


@contextmanager
def connected(database: Database) -> Iterator[Connection]:
    """A connection of one's own, thrown away at the end. Raises: what psycopg2 does.

    psycopg2 refuses COPY while it waits by a callback, as a Database has it wait. Without one a statement is bounded by
    the server alone; what a silent server may take, `within` bounds.
    """
    before = extensions.get_wait_callback()
    extensions.set_wait_callback(None)
    try:
        pooled = database.engine.raw_connection()
        try:
            connection = pooled.driver_connection
            assert connection is not None  # noqa: S101  # it is connected
            with connection, connection.cursor() as cursor:
                cursor.execute(_FOR_BULK)
            yield connection
        finally:
            pooled.invalidate()
            pooled.close()
    finally:
        extensions.set_wait_callback(before)


@contextmanager
def within(seconds: float, give_up: Callable[[], object]) -> Iterator[None]:
    """Call `give_up`, in a thread, if the block takes longer."""
    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def version_of(connection: Connection, model: Model) -> int:
    """The number of the model together with the code around it; a new one if they were never seen together."""
    known: Metadata = model.metadata
    values = (model.sha256, prediction.code(), known.name, list(known.labels))
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO versions (model_sha256, code_sha256, name, labels) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT DO NOTHING",
            values,
        )
        cursor.execute("SELECT id FROM versions WHERE model_sha256 = %s AND code_sha256 = %s", values[:2])
        version: int = cursor.fetchone()[0]
        return version
