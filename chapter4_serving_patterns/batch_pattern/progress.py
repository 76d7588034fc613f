"""How far a run is, by what its processes have written: the same for the job, the API and its metrics."""

from datetime import datetime, timedelta
from typing import NamedTuple

WINDOW_S = 60.0
"""Seconds of the past by which the speed is told. If nothing was done in them, nobody works on the run."""

QUERY = f"""SELECT r.id, r.version_id, r.retry, r.rows, r.started_at, r.finished_at, clock_timestamp() AS now,
    count(*) FILTER (WHERE c.first_id IS NOT NULL AND c.done_at IS NULL) AS chunks_left,
    coalesce(sum(c.predicted), 0)::bigint AS predicted, coalesce(sum(c.quarantined), 0)::bigint AS quarantined,
    count(w.*) AS lately_chunks, coalesce(sum(w.predicted + w.quarantined), 0)::bigint AS lately,
    extract(epoch FROM max(w.done_at) - min(w.done_at))::float AS lately_s
FROM runs r LEFT JOIN chunks c ON c.run_id = r.id
    LEFT JOIN chunks w ON (w.run_id, w.first_id) = (c.run_id, c.first_id)
        AND w.done_at > clock_timestamp() - interval '{WINDOW_S:g} s'
WHERE r.id = %(run)s GROUP BY r.id"""  # noqa: S608  # a number of ours


class Progress(NamedTuple):
    """A run as QUERY finds it. rows: those to do at its beginning.

    lately_chunks, lately: chunks and rows done in the last WINDOW_S seconds; lately_s: from the first to the last.
    """

    run: int
    version: int
    retry: str
    rows: int
    started_at: datetime
    finished_at: datetime | None
    now: datetime
    chunks_left: int
    predicted: int
    quarantined: int
    lately_chunks: int
    lately: int
    lately_s: float | None

    @property
    def done(self) -> int:
        """Rows that were predicted or quarantined."""
        return self.predicted + self.quarantined

    @property
    def remaining(self) -> int:
        """Rows that are left; rows that were deleted meanwhile are not."""
        return max(0, self.rows - self.done) if self.chunks_left else 0

    @property
    def rows_per_s(self) -> float:
        """Of a finished run over all its time; of another by the chunks of the last WINDOW_S seconds."""
        if self.finished_at:
            return self.done / max((self.finished_at - self.started_at).total_seconds(), 1e-3)
        if self.lately_chunks < 2 or not self.lately_s:  # one moment has no speed; and the run may have lain for days
            return self.lately / min(max((self.now - self.started_at).total_seconds(), 1e-3), WINDOW_S)
        return self.lately * (1 - 1 / self.lately_chunks) / self.lately_s  # the first only began the time

    @property
    def forecast(self) -> datetime | None:
        """When the run will end at this speed; None if it has, or if nobody works on it."""
        if self.finished_at or not self.rows_per_s:
            return None
        return self.now + timedelta(seconds=self.remaining / self.rows_per_s)

    def sentence(self) -> str:
        """What is done and what is left, for a person."""
        end = f"; at {self.rows_per_s:,.0f} rows/s it ends at {self.forecast:%H:%M:%S} UTC" if self.forecast else ""
        return f"{self.done:,} of {self.rows:,} rows are done, {self.quarantined:,} of them in quarantine{end}."
