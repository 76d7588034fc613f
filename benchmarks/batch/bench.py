"""Takes the figures, each on a fresh copy of one database, on a PostgreSQL whose commits wait for the disk."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import psycopg2
from psycopg2 import extensions

from chapter4_serving_patterns.batch_pattern import load, rows, runs, store
from chapter4_serving_patterns.batch_pattern.migrate import migrate
from chapter4_serving_patterns.batch_pattern.plan import Plan
from chapter4_serving_patterns.batch_pattern.prediction import Predictions, Predictor
from chapter4_serving_patterns.batch_pattern.settings import Settings
from mlsys.catalogue import ROOT
from mlsys.model import Model
from mlsys.postgres import Postgres

from .figures import ONE, ROW_BY_ROW, SHARES, SMALL, TWO, WAYS, Rounds, Sample, Way

JOB = "chapter4_serving_patterns.batch_pattern.job"
CHUNK_ROWS: int = Settings.model_fields["chunk_rows"].default
FIGURES = (ONE, TWO, SMALL, SHARES, ROW_BY_ROW)
_SPEED = "SELECT rows / extract(epoch FROM finished_at - started_at)::float FROM runs"
_CHECK = "SELECT count(*), count(DISTINCT item_id) FROM predictions"


class Bench:
    """A server with the items in it; a context manager. count: rows. seconds: of the row-by-row way."""

    def __init__(self, model: Path, scratch: Path, *, count: int, seconds: int) -> None:
        self._model, self._count, self._seconds = model, count, seconds
        self._postgres = Postgres(scratch / "postgres")

    def __enter__(self) -> Self:
        self._postgres.__enter__()
        for name, count in (("whole", self._count), ("tenth", self._count // 10)):
            self._tell(f"CREATE DATABASE {name}")
            database = store.database_of(self._settings(name).model_copy(update={"statement_timeout_s": 300.0}))
            migrate(database)
            with store.connected(database) as connection:
                load.fill(connection, count)
            database.dispose()
        return self

    def __exit__(self, *_: object) -> None:
        self._postgres.stop()

    def round(self) -> Iterator[tuple[str, Sample]]:
        """Each figure once."""
        for name in FIGURES:
            with self._fresh(tenth=name == SMALL):
                if name in WAYS:
                    yield name, self._jobs(WAYS[name])
                else:
                    yield name, self._shares() if name == SHARES else self._row_by_row()

    @contextlib.contextmanager
    def _fresh(self, *, tenth: bool) -> Iterator[None]:
        """A copy of the items under the name `run`, with nothing left to be written for others."""
        self._tell(f"CREATE DATABASE run TEMPLATE {'tenth' if tenth else 'whole'}")
        self._tell("CHECKPOINT")
        yield
        self._tell("DROP DATABASE run WITH (FORCE)")

    def _jobs(self, way: Way) -> Sample:
        environment = os.environ | {"DATABASE_URL": self._postgres.url("run"), "MODEL_PATH": str(self._model)}
        environment |= {"LOG_FORMAT": "json", "PYTHONPATH": str(ROOT)}
        began = time.perf_counter()
        command = [sys.executable, "-m", JOB]
        jobs = [
            subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) for _ in range(way.jobs)
        ]
        peaks = []
        for job in jobs:
            _, status, usage = os.wait4(job.pid, 0)
            job.returncode = os.waitstatus_to_exitcode(status)
            if job.returncode:
                raise RuntimeError(f"A job ended with code {job.returncode}.")
            peaks.append(usage.ru_maxrss / 1024)
        wall_s = time.perf_counter() - began
        rows_done, ids = self._ask(_CHECK)
        if not rows_done == ids == self._count // (10 if way.tenth else 1):
            raise RuntimeError(f"{rows_done} predictions of {ids} items were made.")
        return Sample(self._ask(_SPEED)[0], max(peaks), wall_s)

    def _shares(self) -> Sample:
        """The job's loop in this process, with the time of each step."""
        database, predictor = store.database_of(self._settings("run")), Predictor(Model.load(self._model))
        work = Timed(predictor)
        with store.connected(database) as connection:
            version = store.version_of(connection, predictor.model)
            run = runs.begin(connection, Plan(version, "none", "", CHUNK_ROWS))
            if run is None:
                raise RuntimeError("There is nothing to do.")
            began = time.perf_counter()
            while runs.next_chunk(connection, run, work):
                pass
            took = time.perf_counter() - began
        database.dispose()
        spent = work.seconds | {"write": took - sum(work.seconds.values())}
        return Sample(run.rows / took, seconds=spent)

    def _row_by_row(self) -> Sample:
        """One item selected, predicted and committed after the other, for so many seconds."""
        predictor, done = Predictor(Model.load(self._model)), 0
        with self._connection("run") as connection, connection.cursor() as cursor:
            began = time.perf_counter()
            while (took := time.perf_counter() - began) < self._seconds and done < self._count:
                cursor.execute("SELECT id, values FROM items WHERE id = %s", (done + 1,))
                item, values = cursor.fetchone()
                probabilities = predictor.model.predict(np.array([values], np.float32))[0]
                cursor.execute(
                    "INSERT INTO predictions (version_id, item_id, label, probabilities) VALUES (1, %s, %s, %s)",
                    (item, int(probabilities.argmax()), probabilities.tolist()),
                )
                connection.commit()
                done += 1
        return Sample(done / took)

    def _settings(self, name: str) -> Settings:
        return Settings(database_url=self._postgres.url(name), model_path=self._model)

    @contextlib.contextmanager
    def _connection(self, name: str) -> Iterator[Any]:
        extensions.set_wait_callback(None)
        with contextlib.closing(psycopg2.connect(self._postgres.url(name), connect_timeout=10)) as connection:
            yield connection

    def _ask(self, question: str) -> tuple[Any, ...]:
        with self._connection("run") as connection, connection.cursor() as cursor:
            cursor.execute(question)
            answer: tuple[Any, ...] = cursor.fetchone()
            return answer

    def _tell(self, statement: str) -> None:
        with self._connection("postgres") as connection:
            connection.autocommit = True
            connection.cursor().execute(statement)


class Timed:
    """The job's work on a chunk, with the seconds of each step but writing."""

    def __init__(self, predictor: Predictor) -> None:
        self.seconds = dict.fromkeys(("read", "Python", "model"), 0.0)
        self._predictor = predictor
        self._run = predictor.model.network.run
        predictor.model.network.run = self._timed_run  # type: ignore[method-assign, assignment]

    def __call__(self, cursor: Any, run: runs.Run, chunk: runs.Chunk) -> runs.Counts:  # noqa: ANN401  # psycopg2's
        """As `rows.Rows`."""
        began = time.perf_counter()
        ids, values = rows.read(cursor, run, chunk)
        read = time.perf_counter()
        before = self.seconds["model"]
        found: Predictions = self._predictor.predict(values, len(ids))
        self.seconds["read"] += read - began
        self.seconds["Python"] += time.perf_counter() - read - (self.seconds["model"] - before)
        rows.write(cursor, run, chunk, ids, found)
        return runs.Counts(len(found.rows), len(found.reasons))

    def _timed_run(self, *arguments: Any) -> Any:  # noqa: ANN401  # the network's
        began = time.perf_counter()
        answer = self._run(*arguments)
        self.seconds["model"] += time.perf_counter() - began
        return answer


def measure(bench: Bench, count: int) -> Rounds:
    """So many rounds, told as they come."""
    found: Rounds = {name: [] for name in FIGURES}
    for number in range(1, count + 1):
        for name, sample in bench.round():
            found[name].append(sample)
            print(f"round {number} {name:30} {msgspec.json.encode(sample).decode()}", flush=True)
    return found
