"""The batch job killed, its database restarted, rows that are none, statements that take too long, two models at once:
every row is predicted once, by the model's own answer, with the work of about one pass.
"""

import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import psutil
import psycopg2
import pytest
from psycopg2 import extensions

from chapter4_serving_patterns.batch_pattern import load, store
from chapter4_serving_patterns.batch_pattern.job import Job
from chapter4_serving_patterns.batch_pattern.migrate import migrate
from chapter4_serving_patterns.batch_pattern.prediction import Predictor
from chapter4_serving_patterns.batch_pattern.settings import Settings
from mlsys.catalogue import ROOT
from mlsys.model import Model
from mlsys.postgres import Postgres
from mlsys.testing import eventually

pytestmark = pytest.mark.e2e

PATTERN = "chapter4_serving_patterns.batch_pattern"
CHUNK = 1000
ITEMS = "SELECT count(*), string_agg(values::text, E'\\n' ORDER BY id) FROM items WHERE id {within}"
PREDICTIONS = (
    "SELECT array_agg(label ORDER BY item_id), array_agg(probabilities ORDER BY item_id) "
    "FROM predictions WHERE version_id = {version} AND item_id {within}"
)
COUNTED = "SELECT count(*), count(DISTINCT item_id) FROM {table} WHERE version_id = {version}"
CLIENTS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND backend_type = 'client backend'"
)
DONE = "SELECT count(*) FROM chunks WHERE done_at IS NOT NULL"


class Stand:
    """A database with items, the jobs on it, and questions to it past all of our code; a context manager."""

    def __init__(self, url: str, models: Path, rows: int, *, bad: int = 0, chunk: int = CHUNK) -> None:
        self.url, self.models, self.rows, self.bad, self.chunk = url, models, rows, bad, chunk
        self.jobs: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        database = store.database_of(Settings(database_url=self.url))
        migrate(database)
        with store.connected(database) as connection:
            load.fill(connection, self.rows, self.bad)
        database.dispose()
        return self

    def __exit__(self, *_: object) -> None:
        for job in self.jobs:
            with job:  # closes its pipe, and waits
                job.kill()

    def start(self, model: str = "iris_svc", **environment: str) -> "subprocess.Popen[str]":
        """A job."""
        around = {"DATABASE_URL": self.url, "MODEL_PATH": str(self.models / model / "model.onnx")}
        around |= {"CHUNK_ROWS": str(self.chunk), "LOG_FORMAT": "json", "PYTHONPATH": str(ROOT)}
        self.jobs.append(
            subprocess.Popen(
                [sys.executable, "-m", f"{PATTERN}.job"],
                cwd=ROOT,
                env=os.environ | around | environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return self.jobs[-1]

    def finish(self) -> int:
        """A last job, in this process."""
        model = self.models / "iris_svc" / "model.onnx"
        settings = Settings(database_url=self.url, model_path=model, chunk_rows=self.chunk)
        return Job(settings, Model.load(model)).run()

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """What the database says."""
        extensions.set_wait_callback(None)
        with contextlib.closing(psycopg2.connect(self.url, connect_timeout=10)) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def chunks_done(self) -> int:
        """So far."""
        number: int = self.ask(DONE)[0][0]
        return number

    def check(self, model: str = "iris_svc", version: int = 1) -> None:
        """Each good row is predicted once, by the model's own answer, and each bad row has its reason."""
        for table, rows in (("predictions", self.rows), ("quarantine", self.bad)):
            counted = self.ask(COUNTED.format(table=table, version=version))
            assert counted == [(rows, rows)], table
        predictor = Predictor(Model.load(self.models / model / "model.onnx"))
        for begin in range(1, self.rows + 1, 50_000):
            within = f"BETWEEN {begin} AND {min(begin + 49_999, self.rows)}"
            ((count, values),) = self.ask(ITEMS.format(within=within))
            ((labels, probabilities),) = self.ask(PREDICTIONS.format(within=within, version=version))
            expected = predictor.predict(values, count)
            assert labels == expected.labels.tolist()
            np.testing.assert_allclose(np.array(probabilities), expected.probabilities, atol=1e-6)

    def server_process(self, doing: str) -> psutil.Process | None:
        """PostgreSQL's own for a client that does this."""
        found = self.ask(f"{CLIENTS} AND {doing}")
        return psutil.Process(found[0][0]) if found else None

    def written(self) -> int:
        """Rows that were ever written to the predictions, those of transactions that did not count among them."""
        return int(self.ask("SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'predictions'")[0][0])

    def settled(self) -> bool:
        """Whether no job's server process is left, so that all have told what they wrote."""
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        return self.ask(others) == [(0,)]


@pytest.fixture
def own_stand(own_postgres: Postgres, models: Path) -> Iterator[Stand]:
    with Stand(own_postgres.url(), models, 30_000, chunk=500) as stand:
        yield stand


def killed_in_one_run(stand: Stand, kills: int) -> None:
    """Kill the job `kills` times at random moments while it works, then let it end."""
    share = stand.rows // stand.chunk // (kills + 1)
    for number in range(kills):
        job = stand.start()
        eventually(lambda least=number * share: stand.chunks_done() > least, deadline_s=60, every_s=0.001)  # type: ignore[misc]
        with pytest.raises(AssertionError):  # a moment later, wherever it is then
            eventually(lambda: False, deadline_s=random.uniform(0, 0.02), every_s=0.001)  # noqa: S311
        assert job.poll() is None, job.communicate()[0]
        job.kill()
        job.wait()
    assert stand.finish() == 0
    stand.check()
    assert stand.ask("SELECT count(*), sum(rows) FROM runs") == [(1, stand.rows + stand.bad)]
    eventually(stand.settled, deadline_s=10)
    twice = stand.written() - stand.rows
    print(
        f"{kills} kills in a run of {stand.rows:,} rows: {twice:,} rows were written twice, the first time for nothing"
    )
    assert twice <= kills * stand.chunk, "a kill costs a chunk at most"


def test_a_job_killed_again_and_again_does_each_row_once_and_little_work_twice(database_url: str, models: Path) -> None:
    with Stand(database_url, models, 30_000, bad=20, chunk=500) as stand:
        killed_in_one_run(stand, kills=3)


def test_jobs_share_a_run_also_when_one_of_them_is_killed(database_url: str, models: Path) -> None:
    with Stand(database_url, models, 30_000, chunk=500) as stand:
        jobs = [stand.start() for _ in range(2)]
        eventually(lambda: stand.chunks_done() > 5, deadline_s=60, every_s=0.001)
        jobs[0].kill()
        said = [job.communicate(timeout=60)[0] for job in jobs[1:]]
        assert jobs[1].returncode == 0, said
        stand.check()
        assert stand.ask("SELECT count(*) FROM runs") == [(1,)]


def test_a_restarted_database_costs_the_job_a_wait_and_no_row(own_postgres: Postgres, own_stand: Stand) -> None:
    job = own_stand.start()
    for end in (own_postgres.stop, own_postgres.kill):
        before = own_stand.chunks_done() if job.poll() is None else 0
        eventually(lambda: own_stand.chunks_done() > before, deadline_s=60, every_s=0.001)  # noqa: B023
        end()
        own_postgres.start()
    said, _ = job.communicate(timeout=60)
    assert job.returncode == 0, said
    assert "waiting for the database" in said
    assert "Traceback" not in said
    own_stand.check()
    assert own_stand.ask("SELECT count(*) FROM runs") == [(1,)]


def test_a_job_that_is_told_to_stop_ends_behind_its_chunk_and_says_how_far_it_is(
    database_url: str, models: Path
) -> None:
    with Stand(database_url, models, 20_000, chunk=100) as stand:
        job = stand.start()
        eventually(lambda: stand.chunks_done() > 3, deadline_s=60, every_s=0.001)
        job.terminate()
        said, _ = job.communicate(timeout=30)
        assert job.returncode == 143, said
        assert "of 20,000 rows are done" in said
        assert stand.chunks_done() < 200


def test_two_models_at_once_have_a_pass_each(database_url: str, models: Path) -> None:
    with Stand(database_url, models, 30_000, bad=10) as stand:
        jobs = [stand.start(model) for model in ("iris_svc", "iris_rf")]
        said = [job.communicate(timeout=60)[0] for job in jobs]
        assert [job.returncode for job in jobs] == [0, 0], said
        names = {name: version for version, name in stand.ask("SELECT id, name FROM versions")}
        for name, version in names.items():
            stand.check(name, version)


def test_a_database_that_is_slow_for_a_while_makes_smaller_chunks_and_no_error(database_url: str, models: Path) -> None:
    with Stand(database_url, models, 3000) as stand:
        stand.ask(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN "
            "IF NEW.item_id % 100 = 0 THEN PERFORM pg_sleep(0.03); END IF; RETURN NEW; END'"
        )
        stand.ask("CREATE TRIGGER slow BEFORE INSERT ON predictions FOR EACH ROW EXECUTE FUNCTION slow()")
        job = stand.start(STATEMENT_TIMEOUT_S="0.2")
        said, _ = job.communicate(timeout=60)
        assert job.returncode == 0, said
        assert stand.chunks_done() > 3
        stand.check()


@pytest.mark.parametrize(
    ("locked", "doing", "chunks"),
    [(True, "wait_event_type = 'Lock'", 0), (False, "true", 3)],
    ids=["while a run is planned", "while chunks are done"],
)
def test_a_database_that_falls_silent_ends_the_job_which_loses_nothing(
    database_url: str, models: Path, locked: bool, doing: str, chunks: int
) -> None:
    with Stand(database_url, models, 10_000, chunk=100) as stand, contextlib.ExitStack() as held:
        if locked:
            other = held.enter_context(contextlib.closing(psycopg2.connect(stand.url, connect_timeout=10)))
            other.cursor().execute("LOCK TABLE runs")
        job = stand.start(STATEMENT_TIMEOUT_S="0.3")
        eventually(lambda: stand.chunks_done() >= chunks, deadline_s=60, every_s=0.001)
        process = eventually(lambda: stand.server_process(doing), deadline_s=60, every_s=0.001)
        assert process
        process.suspend()
        held.callback(process.resume)
        said, _ = job.communicate(timeout=30)
        held.close()
        assert job.returncode == 4, said
        assert "silent for 3 s" in said
        assert stand.finish() == 0
        stand.check()
