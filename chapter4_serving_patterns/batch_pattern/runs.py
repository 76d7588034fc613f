"""Runs and their chunks: work that any number of processes share, that may be killed anywhere, and that is done once.

A run is planned once, as ranges of item ids. A chunk is one transaction: it is claimed by a row lock, its rows are
read, predicted and written, and it is marked as done, all or nothing. A process that is killed takes its lock with it;
so there is no lease, no timeout and no coordinator.
"""

from collections.abc import Callable
from typing import NamedTuple

from psycopg2.errors import QueryCanceled
from psycopg2.extensions import connection as Connection  # noqa: N812  # it is a class
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from mlsys.errors import MlsysError

from .plan import Plan, Retry, cut, present

_PLANNING = 0x62617463
"""Class of the advisory locks of those who plan: the bytes of "batc"."""


class TooSlow(MlsysError):
    """A single row cannot be done within the time of a statement."""


class Run(NamedTuple):
    """One pass over the items that it found. rows: how many it found to do."""

    id: int
    version: int
    retry: Retry
    rows: int


class Chunk(NamedTuple):
    """A range of item ids, both within."""

    first: int
    last: int


class Counts(NamedTuple):
    """Rows of a chunk that became predictions, and those that could not."""

    predicted: int
    quarantined: int


Work = Callable[[Cursor, Run, Chunk], Counts]
"""Reads a chunk's rows, predicts them and writes what came of them, in the transaction of the cursor."""


def begin(connection: Connection, plan: Plan) -> Run | None:
    """The run to work on: the version's one that is not finished yet, else a new one; None if this pass is finished.

    The unfinished one may be older than what is there now, so that the caller asks again when it is finished.
    """
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_PLANNING, plan.version))  # one planner at a time
        cursor.execute(
            "SELECT id, version_id, retry, rows FROM runs WHERE version_id = %s AND finished_at IS NULL",
            (plan.version,),
        )
        if found := cursor.fetchone():
            return Run(*found)
        items = present(cursor, plan)
        cursor.execute("SELECT FROM runs WHERE fingerprint = %s", (items.fingerprint,))
        if cursor.rowcount:
            return None
        cursor.execute(
            "INSERT INTO runs (version_id, fingerprint, retry, name, first_id, last_id, rows) "
            "VALUES (%s, %s, %s, %s, %s, %s, 0) RETURNING id",
            (plan.version, items.fingerprint, plan.retry, plan.name, items.first, items.last),
        )
        (run_id,) = cursor.fetchone()
        rows = cut(cursor, plan, items, run_id)
        cursor.execute("UPDATE runs SET rows = %s WHERE id = %s", (rows, run_id))
        return Run(run_id, plan.version, plan.retry, rows)


def next_chunk(connection: Connection, run: Run, work: Work) -> Counts | None:
    """Do one chunk that nobody else is doing; None if there is none.

    A chunk that takes too long becomes two, and counts as no rows. Raises: TooSlow if it is one row.
    """
    with connection, connection.cursor() as cursor:  # commits, or after an exception rolls back
        cursor.execute(
            "SELECT first_id, last_id FROM chunks WHERE run_id = %s AND done_at IS NULL "
            "ORDER BY first_id LIMIT 1 FOR UPDATE SKIP LOCKED",
            (run.id,),
        )
        if not (found := cursor.fetchone()):
            return None
        chunk = Chunk(*found)
        cursor.execute("SAVEPOINT claimed")  # what is rolled back to here leaves the chunk ours
        try:
            counts = work(cursor, run, chunk)
        except QueryCanceled as error:
            cursor.execute("ROLLBACK TO SAVEPOINT claimed")
            _halve(cursor, run, chunk, error)
            return Counts(0, 0)
        cursor.execute(
            "UPDATE chunks SET done_at = clock_timestamp(), predicted = %s, quarantined = %s "
            "WHERE run_id = %s AND first_id = %s",
            (*counts, run.id, chunk.first),
        )
        return counts


def finish(connection: Connection, run: Run) -> bool:
    """Whether the run is finished: all chunks are done. If not, others work on those that nobody can claim."""
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE runs SET finished_at = clock_timestamp() WHERE id = %(id)s AND finished_at IS NULL "
            "AND NOT EXISTS (SELECT FROM chunks WHERE run_id = %(id)s AND done_at IS NULL)",
            {"id": run.id},
        )
        cursor.execute("SELECT finished_at IS NOT NULL FROM runs WHERE id = %s", (run.id,))
        finished: bool = cursor.fetchone()[0]
        return finished


def _halve(cursor: Cursor, run: Run, chunk: Chunk, error: QueryCanceled) -> None:
    cursor.execute(
        "SELECT count(*), percentile_disc(0.5) WITHIN GROUP (ORDER BY id) FROM items WHERE id BETWEEN %s AND %s", chunk
    )
    rows, middle = cursor.fetchone()
    if rows < 2:
        raise TooSlow(f"Item {middle} could not be done: {' '.join(str(error).split())}.") from error
    cursor.execute("UPDATE chunks SET last_id = %s WHERE run_id = %s AND first_id = %s", (middle, run.id, chunk.first))
    cursor.execute(
        "INSERT INTO chunks (run_id, first_id, last_id) VALUES (%s, %s, %s)", (run.id, middle + 1, chunk.last)
    )
