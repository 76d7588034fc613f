"""What a run covers: the items that it finds, cut into ranges of ids with so many rows each that are to be done."""

import hashlib
from typing import Any, Literal, NamedTuple

from psycopg2.extensions import cursor as Cursor  # noqa: N812  # it is a class

Retry = Literal["none", "failed", "all"]

# Rows that a version has to do yet, of the items `i`, between two ids. The bounds are repeated within: PostgreSQL does
# not carry them over to the other side of an anti-join, and would read that from its beginning for every chunk.
_NOT_IN = """NOT EXISTS (SELECT FROM {table} d
    WHERE d.version_id = %(version)s AND d.item_id = i.id AND d.item_id BETWEEN %(first)s AND %(last)s)"""
_UNPREDICTED = _NOT_IN.format(table="predictions")
TO_DO: dict[Retry, str] = {
    "none": f"{_UNPREDICTED} AND {_NOT_IN.format(table='quarantine')}",
    "failed": _UNPREDICTED,
    "all": "true",
}


class Plan(NamedTuple):
    """What is wanted: items predicted by a version, which is a model with the code around it.

    retry: which rows that were done before are done again. name: what tells a run from another over the same items.
    chunk_rows: rows of a transaction.
    """

    version: int
    retry: Retry
    name: str
    chunk_rows: int


class Range(NamedTuple):
    """The items that there are, by the first id and the last, and the fingerprint of a run over just these."""

    first: int
    last: int
    fingerprint: str


def present(cursor: Cursor, plan: Plan) -> Range:
    """The items that can be seen now.

    Ids become visible out of order: a transaction that took a small one may end after one with a greater. So the first
    and the last do not tell what there is; number, sum and hashes of the ids change with every item that comes late.
    """
    cursor.execute(
        "SELECT coalesce(min(id), 1), coalesce(max(id), 0), count(*), coalesce(sum(id), 0), "
        "coalesce(bit_xor(hashint8extended(id, 0)), 0) FROM items"  # other ids may have the same sum
    )
    facts: tuple[Any, ...] = cursor.fetchone()
    # What is done again is done once under its name, also if items come meanwhile: or who is late would begin anew.
    covered = facts if plan.retry == "none" else ()
    text = "\n".join(map(str, (plan.version, plan.retry, plan.name, *covered)))
    return Range(facts[0], facts[1], hashlib.sha256(text.encode()).hexdigest())


def cut(cursor: Cursor, plan: Plan, items: Range, run_id: int) -> int:
    """Write the chunks of a run, and return how many rows they have to do."""
    cursor.execute(
        f"""WITH ranges AS (
            SELECT min(id) AS first_id, max(id) AS last_id, count(*) AS rows FROM (
                SELECT id, (row_number() OVER (ORDER BY id) - 1) / %(size)s AS number
                FROM items i WHERE id BETWEEN %(first)s AND %(last)s AND {TO_DO[plan.retry]}
            ) numbered GROUP BY number
        ), planned AS (INSERT INTO chunks (run_id, first_id, last_id) SELECT %(run)s, first_id, last_id FROM ranges)
        SELECT coalesce(sum(rows), 0)::bigint FROM ranges""",  # noqa: S608  # TO_DO is ours
        {"run": run_id, "size": plan.chunk_rows, "version": plan.version, "first": items.first, "last": items.last},
    )
    rows: int = cursor.fetchone()[0]
    return rows
