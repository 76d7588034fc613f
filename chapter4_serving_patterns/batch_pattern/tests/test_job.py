"""The job in this process: what it writes, what it does again, and when it stops."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812  # it is a class
from pydantic import SecretStr

from mlsys.model import Model

from .. import load
from ..job import AWAY, FINISHED, LIMIT, TOO_SLOW, Job
from ..prediction import Predictor
from ..settings import Settings
from .conftest import Ask

WRITTEN = "SELECT item_id, label, probabilities FROM predictions ORDER BY item_id"


@pytest.fixture
def loaded(connection: Connection) -> None:
    load.fill(connection, 45, bad=len(load.BAD))


def run(settings: Settings, model: Model, **changed: Any) -> int:  # noqa: ANN401  # what settings take
    return Job(settings.model_copy(update=changed), model).run()


def test_every_good_row_has_the_models_own_answer_and_every_bad_row_a_reason(
    settings: Settings, model: Model, predictor: Predictor, loaded: None, ask: Ask
) -> None:
    assert run(settings, model) == FINISHED
    items = ask("SELECT id, values::text FROM items WHERE id <= 45 ORDER BY id")
    expected = predictor.predict("\n".join(text for _, text in items), len(items))
    ids, labels, probabilities = zip(*ask(WRITTEN), strict=True)
    assert list(ids) == [id_ for id_, _ in items]
    assert list(labels) == expected.labels.tolist()
    np.testing.assert_allclose(np.array(probabilities), expected.probabilities, atol=1e-6)
    assert ask("SELECT count(*), count(DISTINCT item_id), min(item_id) FROM quarantine") == [(10, 10, 46)]
    ((reason,),) = ask("SELECT reason FROM quarantine WHERE item_id = 54")
    assert reason == "It has more than 1,000 bytes as JSON."


def test_the_second_job_touches_nothing(settings: Settings, model: Model, loaded: None, ask: Ask) -> None:
    run(settings, model)
    before = ask("SELECT xmin::text, * FROM predictions ORDER BY item_id")
    assert run(settings, model) == FINISHED
    assert ask("SELECT xmin::text, * FROM predictions ORDER BY item_id") == before
    assert ask("SELECT count(*) FROM runs") == [(1,)]


def test_all_again_changes_every_row_and_keeps_when_it_was_made(
    settings: Settings, model: Model, loaded: None, ask: Ask
) -> None:
    run(settings, model)
    before = ask(WRITTEN)
    ask("UPDATE predictions SET label = 9 WHERE item_id = 3")
    assert run(settings, model, retry="all") == FINISHED
    assert ask(WRITTEN) == before
    assert ask("SELECT count(*) FROM predictions WHERE updated_at > created_at") == [(45,)]
    assert ask("SELECT count(*) FROM quarantine") == [(10,)]


def test_all_again_takes_away_what_is_no_flower_any_more(
    settings: Settings, model: Model, loaded: None, ask: Ask
) -> None:
    run(settings, model)
    ask("UPDATE items SET values = '[]' WHERE id = 3")
    run(settings, model, retry="all")
    assert ask("SELECT count(*) FROM predictions WHERE item_id = 3") == [(0,)]
    assert ask("SELECT count(*) FROM quarantine WHERE item_id = 3") == [(1,)]


def test_failed_again_does_the_quarantined_alone(settings: Settings, model: Model, loaded: None, ask: Ask) -> None:
    run(settings, model)
    ask("UPDATE items SET values = '[5.1, 3.5, 1.4, 0.2]' WHERE id IN (46, 47)")
    assert run(settings, model) == FINISHED
    assert ask("SELECT count(*) FROM quarantine") == [(10,)]
    for _ in range(2):
        assert run(settings, model, retry="failed") == FINISHED
        assert ask("SELECT count(*) FROM quarantine") == [(8,)]
    assert ask("SELECT count(*), max(updated_at - created_at)::text FROM predictions") == [(47, "00:00:00")]
    assert ask("SELECT retry, rows FROM runs ORDER BY id") == [("none", 55), ("failed", 10), ("failed", 8)]


def test_a_new_model_version_is_a_new_pass_and_the_old_predictions_stay(
    settings: Settings,
    model: Model,
    loaded: None,
    ask: Ask,
    models: Any,  # noqa: ANN401
) -> None:
    run(settings, model)
    assert run(settings, Model.load(models / "iris_rf" / "model.onnx")) == FINISHED
    assert ask("SELECT version_id, count(*) FROM predictions GROUP BY 1 ORDER BY 1") == [(1, 45), (2, 45)]
    assert ask("SELECT version_id, count(*) FROM quarantine GROUP BY 1 ORDER BY 1") == [(1, 10), (2, 10)]


def test_a_pass_of_another_name_is_done_also_if_one_of_its_kind_was_left(
    settings: Settings, model: Model, loaded: None, ask: Ask
) -> None:
    ticks: Iterator[float] = iter(range(1000))
    monday = settings.model_copy(update={"limit_s": 5.0, "retry": "all", "run_name": "monday"})
    assert Job(monday, model, clock=lambda: next(ticks)).run() == LIMIT
    for _ in range(2):  # the second does nothing
        assert run(settings, model, retry="all", run_name="tuesday") == FINISHED
        assert ask("SELECT name, rows FROM runs ORDER BY id") == [("monday", 55), ("tuesday", 55)]


@pytest.mark.parametrize("retry", ["none", "all"])
def test_a_job_out_of_time_stops_between_two_chunks_and_the_next_one_does_the_rest(
    settings: Settings, model: Model, loaded: None, ask: Ask, retry: str
) -> None:
    ticks: Iterator[float] = iter(range(1000))
    limited = settings.model_copy(update={"limit_s": 5.0, "retry": retry})
    assert Job(limited, model, clock=lambda: next(ticks)).run() == LIMIT
    ((done,),) = ask("SELECT count(*) FROM chunks WHERE done_at IS NOT NULL")
    assert 0 < done < 6
    assert run(settings, model, retry=retry) == FINISHED
    assert ask("SELECT count(*), sum(rows) FROM runs") == [(1, 55)], "what was left was taken up, not begun again"
    assert ask("SELECT count(*) FROM predictions") == [(45,)]


def test_a_job_that_is_told_to_stop_stops_behind_its_chunk(
    settings: Settings, model: Model, loaded: None, ask: Ask
) -> None:
    job = Job(settings, model)
    job.ask_to_stop(143)
    assert job.run() == 143
    assert ask("SELECT count(*) FROM predictions") == [(0,)]


def test_the_loader_says_that_its_database_is_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setattr("sys.argv", ["load"])
    assert load.main() == 1
    assert capsys.readouterr().err.startswith("The items could not be loaded: connection to server")


def test_a_database_that_stays_away_is_said_after_the_wait(settings: Settings, model: Model) -> None:
    away = settings.model_copy(
        update={"database_url": SecretStr("postgresql://nobody@127.0.0.1:1/none"), "database_wait_s": 0.2}
    )
    assert Job(away, model).run() == AWAY


def test_a_row_that_takes_too_long_ends_the_job_and_costs_no_other_row(
    settings: Settings, model: Model, loaded: None, ask: Ask
) -> None:
    ask(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN IF NEW.item_id = 45 THEN PERFORM pg_sleep(10); END IF; RETURN NEW; END'"
    )
    ask("CREATE TRIGGER slow BEFORE INSERT ON predictions FOR EACH ROW EXECUTE FUNCTION slow()")
    assert run(settings, model, statement_timeout_s=0.1) == TOO_SLOW
    assert ask("SELECT count(*) FROM predictions") == [(44,)]
    ask("DROP TRIGGER slow ON predictions")
    assert run(settings, model) == FINISHED
    assert ask("SELECT count(*) FROM predictions") == [(45,)]
