"""What a job tells of itself: a bar where a person looks on, lines for machines elsewhere."""

import sys
from collections.abc import Callable
from typing import Any

from psycopg2.extensions import connection as Connection  # noqa: N812  # it is a class

from . import progress
from .runs import Counts, Run
from .settings import Settings

_EVERY_S = 2.0
"""Seconds between two lines, or looks at what the others did."""


class Report:
    """Of one process. rows: what it has done itself.

    log: takes `info(event, **facts)`.
    """

    def __init__(self, log: Any, settings: Settings, clock: Callable[[], float]) -> None:  # noqa: ANN401  # a structlog logger
        self.rows = 0
        self._log, self._clock = log, clock
        self._looked = clock()
        self._bar = _bar() if sys.stdout.isatty() and settings.log_format != "json" else None

    def begin(self, run: Run, model: str) -> None:
        """It works on the run now."""
        self._log.info("run", run=run.id, model=model, retry=run.retry, rows=run.rows)
        if self._bar:
            self._bar.start()
            self._bar.add_task(f"run {run.id}", total=run.rows)

    def did(self, connection: Connection, run: Run, counts: Counts) -> None:
        """It has done a chunk; every few seconds it tells how far all have come."""
        self.rows += sum(counts)
        if self._clock() - self._looked >= (_EVERY_S if self._bar is None else 0.2):
            self._looked = self._clock()
            self._tell("progress", look(connection, run))

    def end(self, connection: Connection, run: Run) -> None:
        """The run is finished."""
        self._tell("finished", look(connection, run))
        self._close()

    def fail(self, reason: str) -> None:
        """It cannot go on."""
        self._close()
        self._log.error("stopped", reason=reason)

    def stop(self, connection: Connection | None, run: Run | None, why: str) -> None:
        """It goes before the end."""
        self._close()
        left = look(connection, run).sentence() if connection and run else "The database does not say how far it is."
        self._log.warning(
            "stopped", reason=f"{why}. {left} The next job goes on from there.", by_this_process=self.rows
        )

    def _tell(self, event: str, found: progress.Progress) -> None:
        if self._bar:
            self._bar.update(self._bar.task_ids[-1], completed=found.done)
            if event == "progress":
                return
        self._log.info(
            event,
            run=found.run,
            done=found.done,
            remaining=found.remaining,
            quarantined=found.quarantined,
            rows_per_s=round(found.rows_per_s),
            ends_at=found.forecast and found.forecast.isoformat(timespec="seconds"),
            by_this_process=self.rows,
        )

    def _close(self) -> None:
        if self._bar:
            self._bar.stop()


def _bar() -> Any:  # noqa: ANN401  # rich's
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )  # not in the image

    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


def look(connection: Connection, run: Run) -> progress.Progress:
    """How far the run is, by all who work on it."""
    with connection, connection.cursor() as cursor:
        cursor.execute(progress.QUERY, {"run": run.id})
        return progress.Progress(*cursor.fetchone())
