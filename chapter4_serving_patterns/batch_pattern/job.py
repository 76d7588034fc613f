"""The job: `python -m chapter4_serving_patterns.batch_pattern.job`, as often as one likes and as many at a time.

Exit codes: 0 all is done, or nothing was to do; 1 it cannot start; 3 LIMIT_S is over and rows are left; 4 the database
was away for DATABASE_WAIT_S; 5 one row takes longer than STATEMENT_TIMEOUT_S; 143 (130) SIGTERM (SIGINT), and rows are
left. What is left, the next job does.
"""

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable

import psycopg2
import structlog
from psycopg2.extensions import connection as Connection  # noqa: N812  # it is a class
from sqlalchemy.exc import DBAPIError

from mlsys import logs
from mlsys.errors import MlsysError, NotReady
from mlsys.model import Model

from . import runs, store
from .migrate import LOCATION
from .plan import Plan
from .prediction import Predictor
from .report import Report
from .rows import Rows
from .settings import Settings

FINISHED, LIMIT, AWAY, TOO_SLOW = 0, 3, 4, 5
_OTHERS_S = 0.1
"""Seconds between two looks at chunks that others have."""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 5.0
_DRIVER = (psycopg2.OperationalError, psycopg2.InterfaceError, DBAPIError, NotReady)


class Job:
    """One process of a run. ask_to_stop: what stops it between two chunks, with this exit code.

    Raises: OSError if its own source is not there.
    """

    def __init__(self, settings: Settings, model: Model, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._model, self._clock = settings, model, clock
        self._database = store.database_of(settings)
        self._rows = Rows(Predictor(model))
        # Done again on purpose is done once more than before, so that it needs a name that was never there.
        self._name = settings.run_name or ("" if settings.retry == "none" else uuid.uuid4().hex)
        self._end = None if settings.limit_s is None else clock() + settings.limit_s
        self._silence_s = 10 * settings.statement_timeout_s  # several statements, each of which the server bounds
        self._stop: int | None = None
        self._log = structlog.get_logger("batch")
        self._report = Report(self._log, settings, clock)

    def ask_to_stop(self, code: int) -> None:
        """Safe in a signal handler."""
        self._stop = code

    def run(self) -> int:
        """Until all is done, or it must stop: the exit code."""
        away_since, wait_s = None, _FIRST_WAIT_S
        while True:
            before = self._report.rows
            try:
                asyncio.run(self._database.at_head(LOCATION))
                with store.connected(self._database) as connection:
                    return self._drain(connection)
            except runs.TooSlow as error:
                self._report.fail(str(error))
                return TOO_SLOW
            except _DRIVER as error:
                now = self._clock()
                if away_since is None or self._report.rows > before:
                    away_since, wait_s = now, _FIRST_WAIT_S
                said = " ".join(str(error).split())
                if now - away_since > self._settings.database_wait_s:
                    self._report.fail(f"The database was away for too long: {said}")
                    return AWAY
                self._log.warning("waiting for the database", reason=said, wait_s=wait_s)
            if self._must_stop() is not None:
                return self._stopped(None, None)
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _drain(self, connection: Connection) -> int:
        settings = self._settings
        with self._bounded():
            version = store.version_of(connection, self._model)
        plan = Plan(version, settings.retry, self._name, settings.chunk_rows)
        for passes in itertools.count(1):  # a run that somebody left, and then what there is now
            with self._bounded():
                run = runs.begin(connection, plan)
            if run is None:
                self._log.info("nothing to do", model=self._model.version, retry=settings.retry)
                return FINISHED
            self._report.begin(run, self._model.version)
            if code := self._work(connection, run):
                return code
            # What is done again was asked for as a pass, whoever began it; one with a name, `begin` says is finished.
            again = run.retry == settings.retry and not settings.run_name
            if again if settings.retry != "none" else passes == 2:
                break
        return FINISHED

    def _work(self, connection: Connection, run: runs.Run) -> int:
        while self._must_stop() is None:
            with self._bounded():
                counts = runs.next_chunk(connection, run, self._rows)
                if counts:
                    self._report.did(connection, run, counts)
                elif runs.finish(connection, run):
                    break
            if not counts:
                time.sleep(_OTHERS_S)
        with self._bounded():
            if not runs.finish(connection, run):
                return self._stopped(connection, run)
            self._report.end(connection, run)
            return FINISHED

    def _bounded(self) -> contextlib.AbstractContextManager[None]:
        return store.within(self._silence_s, self._give_up)

    def _give_up(self) -> None:
        """End the process, whatever it waits for: what it has not committed is rolled back, as if it were killed."""
        self._log.error("stopped", reason=f"The database was silent for {self._silence_s:g} s.")
        sys.stdout.flush()
        os._exit(AWAY)

    def _must_stop(self) -> int | None:
        if self._stop is None and self._end is not None and self._clock() >= self._end:
            self._stop = LIMIT
        return self._stop

    def _stopped(self, connection: Connection | None, run: runs.Run | None) -> int:
        code = self._must_stop()
        assert code is not None  # noqa: S101  # the caller has asked
        why = f"LIMIT_S={self._settings.limit_s:g} is over" if code == LIMIT else f"signal {code - 128}"
        self._report.stop(connection, run, why)
        return code


def main() -> int:
    """The exit code, as above."""
    try:
        settings = Settings()
        logs.configure(settings)
        job = Job(settings, Model.load(settings.model_path, threads=settings.model_threads))
    except MlsysError as error:
        sys.stderr.write(f"Cannot start: {error}\n")
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: job.ask_to_stop(128 + number))
    return job.run()


if __name__ == "__main__":
    sys.exit(main())
