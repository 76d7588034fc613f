"""A chunk's rows on their way from and to PostgreSQL: one statement out, COPY in its binary form in."""

import io
from typing import Any

import numpy as np
from psycopg2.extensions import cursor as Cursor  # noqa: N812  # it is a class
from psycopg2.extras import execute_values

from .plan import TO_DO
from .prediction import MAX_BYTES, Predictions, Predictor
from .runs import Chunk, Counts, Run

# OFFSET 0 has the text made once. JSON of jsonb has no line breaks, so that a line is a row.
_READ = """SELECT array_agg(id), string_agg(CASE WHEN octet_length(text) <= %(most)s THEN text ELSE '' END, E'\\n')
FROM (SELECT id, coalesce(values::text, 'null') AS text FROM items i
    WHERE id BETWEEN %(first)s AND %(last)s AND {to_do} ORDER BY id OFFSET 0) chunk"""
_REPLACE = """INSERT INTO predictions (version_id, item_id, label, probabilities)
SELECT version_id, item_id, label, probabilities FROM fresh
ON CONFLICT (version_id, item_id) DO UPDATE
SET label = excluded.label, probabilities = excluded.probabilities, updated_at = excluded.updated_at"""
_FLOAT4 = 700
"""The type's number in every PostgreSQL (src/include/catalog/pg_type.dat)."""
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # https://www.postgresql.org/docs/16/sql-copy.html, "Binary Format"


class Rows:
    """The work on a chunk: reads, predicts and writes. Used as a `runs.Work`."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def __call__(self, cursor: Cursor, run: Run, chunk: Chunk) -> Counts:
        """All of it within the cursor's transaction."""
        ids, values = read(cursor, run, chunk)
        found = self._predictor.predict(values, len(ids))
        write(cursor, run, chunk, ids, found)
        return Counts(len(found.rows), len(found.reasons))


def read(cursor: Cursor, run: Run, chunk: Chunk) -> tuple[list[int], str]:
    """Ids of the rows that are to do, and their values as lines of JSON."""
    cursor.execute(
        _READ.format(to_do=TO_DO[run.retry]),
        {"most": MAX_BYTES, "version": run.version, "first": chunk.first, "last": chunk.last},
    )
    ids, values = cursor.fetchone()
    return ids or [], values or ""  # no rows: they were deleted since the plan


def write(cursor: Cursor, run: Run, chunk: Chunk, ids: list[int], found: Predictions) -> None:
    """The predictions, and the rows that cannot be predicted with their reasons."""
    done = binary(run.version, np.array(ids, np.int64)[found.rows], found)
    bad = [(run.version, ids[place], reason) for place, reason in found.reasons.items()]
    if run.retry != "none":
        cursor.execute(
            "DELETE FROM quarantine WHERE version_id = %s AND item_id BETWEEN %s AND %s", (run.version, *chunk)
        )
    if run.retry == "all":
        _replace(cursor, run.version, done, [row[1] for row in bad])
    else:
        _copy(cursor, "predictions", done)
    if bad:
        execute_values(cursor, "INSERT INTO quarantine (version_id, item_id, reason) VALUES %s", bad)


def binary(version: int, ids: "np.ndarray[Any, np.dtype[np.int64]]", found: Predictions) -> bytes:
    """Rows (version_id, item_id, label, probabilities) as COPY's binary form: every field behind its length."""
    classes = found.probabilities.shape[1]
    element = [("length", ">i4"), ("value", ">f4")]
    array = [("dimensions", ">i4"), ("nulls", ">i4"), ("type", ">i4"), ("size", ">i4"), ("lowest", ">i4")]
    lengths = {"version": 4, "id": 8, "label": 2, "probabilities": 20 + 8 * classes}
    kinds = {"version": ">i4", "id": ">i8", "label": ">i2", "probabilities": [*array, ("all", element, (classes,))]}
    fields: list[Any] = [("fields", ">i2")]
    for name, kind in kinds.items():
        fields += [(f"{name}_length", ">i4"), (name, kind)]
    rows = np.zeros(len(ids), np.dtype(fields))
    rows["fields"] = len(kinds)
    for name, length in lengths.items():
        rows[f"{name}_length"] = length
    rows["version"], rows["id"], rows["label"] = version, ids, found.labels
    arrays = rows["probabilities"]
    arrays["dimensions"], arrays["type"], arrays["size"], arrays["lowest"] = 1, _FLOAT4, classes, 1
    arrays["all"]["length"], arrays["all"]["value"] = 4, found.probabilities
    return _SIGNATURE + rows.tobytes() + b"\xff\xff"


def _copy(cursor: Cursor, table: str, rows: bytes) -> None:
    cursor.copy_expert(
        f"COPY {table} (version_id, item_id, label, probabilities) FROM STDIN WITH (FORMAT binary)", io.BytesIO(rows)
    )


def _replace(cursor: Cursor, version: int, rows: bytes, bad: list[int]) -> None:
    """Put predictions into the place of those that are there, if any, and take away those of rows that are bad now."""
    cursor.execute(
        "CREATE TEMPORARY TABLE IF NOT EXISTS fresh "
        "(version_id integer, item_id bigint, label smallint, probabilities real[]) ON COMMIT DELETE ROWS"
    )
    _copy(cursor, "fresh", rows)
    cursor.execute(_REPLACE)
    cursor.execute("DELETE FROM predictions WHERE version_id = %s AND item_id = ANY(%s)", (version, bad))
