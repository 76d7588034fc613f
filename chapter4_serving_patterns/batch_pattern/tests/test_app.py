"""What the API shows of the items and of the run."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from psycopg2.extensions import connection as Connection  # noqa: N812  # it is a class
from pydantic import SecretStr

from mlsys.app import Service
from mlsys.model import Model
from mlsys.postgres import Postgres
from mlsys.testing import call
from mlsys.testing_postgres import new_database

from .. import load, store
from ..app import create_app
from ..job import Job
from ..listing import WINDOW
from ..settings import Settings
from .conftest import Ask

FLOWERS, BAD = 45, len(load.BAD)
LISTS = ["all", "predicted", "unpredicted", "quarantined"]


@pytest.fixture
def app(settings: Settings, connection: Connection) -> Service:
    """Before the first run."""
    load.fill(connection, FLOWERS, BAD)
    return create_app(settings)


@pytest.fixture(scope="module")
def done(postgres: Postgres, migrated: str, models: Path, model: Model) -> Iterator[Service]:
    """After it, for tests that change nothing."""
    with new_database(postgres, migrated) as url:
        settings = Settings(
            database_url=url, model_path=models / "iris_svc" / "model.onnx", chunk_rows=10, log_format="json"
        )
        database = store.database_of(settings)
        with store.connected(database) as connection:
            load.fill(connection, FLOWERS, BAD)
        assert Job(settings, model).run() == 0
        yield create_app(settings)


def get(app: Service, path: str) -> Any:  # noqa: ANN401  # an answer's JSON
    answer = call(app, "GET", path)
    assert answer.status == 200, answer.body
    return answer.json


def pages(app: Service, name: str, limit: int) -> list[int]:
    """The ids of all pages, by following the links."""
    path: str | None = f"/data/{name}?limit={limit}"
    found = []
    while path:
        answer = call(app, "GET", path)
        assert len(answer.json) <= limit
        found += [item["id"] for item in answer.json]
        link = answer.headers.get("link")
        path = link[1 : link.index(">")] if link else None
    return found


def test_before_the_first_run_all_items_are_unpredicted(app: Service) -> None:
    assert pages(app, "all", 10) == pages(app, "unpredicted", 10) == list(range(1, 56))
    assert pages(app, "predicted", 10) == pages(app, "quarantined", 10) == []
    assert get(app, "/counts") == {"items": 55, "predicted": 0, "unpredicted": 55, "quarantined": 0}
    progress = get(app, "/progress")
    assert (progress["run"], progress["rows"]) == (None, 0)


@pytest.mark.parametrize("limit", [1, 10, 1000])
def test_pages_follow_one_another_by_their_links_without_a_gap(done: Service, limit: int) -> None:
    assert pages(done, "all", limit) == list(range(1, 56))
    assert pages(done, "predicted", limit) == list(range(1, 46))
    assert pages(done, "unpredicted", limit) == pages(done, "quarantined", limit) == list(range(46, 56))


def test_an_item_has_its_values_its_prediction_and_its_times(done: Service) -> None:
    item = get(done, "/data/predicted?limit=1")[0]
    assert list(item) == ["id", "values", "prediction", "label", "created_datetime", "updated_datetime"]
    assert len(item["values"]) == 4
    assert sum(item["prediction"]) == pytest.approx(1, abs=1e-4)
    assert item["label"] == ["setosa", "versicolor", "virginica"][item["prediction"].index(max(item["prediction"]))]
    assert item["created_datetime"] < item["updated_datetime"]


def test_a_quarantined_item_has_its_reason_and_its_values_unless_these_are_too_large(done: Service) -> None:
    bad = get(done, "/data/quarantined")
    assert bad[0]["values"] is None
    assert bad[3]["values"] == [5.1, 3.5, 1.4]
    assert bad[8]["values"] is None
    assert "1,000 bytes" in bad[8]["reason"]
    huge = call(done, "GET", "/data/all?after=50&limit=1")  # 1e400, which no float is
    assert huge.body.count(b"0" * 400) == 1
    assert json.loads(huge.body)[0]["prediction"] is None


def test_counts_and_progress_say_what_came_of_the_items(done: Service) -> None:
    assert get(done, "/counts") == {"items": 55, "predicted": 45, "unpredicted": 10, "quarantined": 10}
    progress = get(done, "/progress")
    assert (progress["rows"], progress["predicted"], progress["quarantined"], progress["remaining"]) == (55, 45, 10, 0)
    assert progress["finished_datetime"]
    assert progress["ends_datetime"] is None


def test_deleted_items_are_not_counted_by_their_predictions_that_stay(
    app: Service, settings: Settings, model: Model, ask: Ask
) -> None:
    Job(settings, model).run()
    ask("DELETE FROM items WHERE id IN (1, 2, 46)")
    assert get(app, "/counts") == {"items": 52, "predicted": 43, "unpredicted": 9, "quarantined": 9}


def test_a_page_of_the_unpredicted_reads_a_bounded_part_of_the_table(
    app: Service, settings: Settings, model: Model, ask: Ask
) -> None:
    ask("INSERT INTO items (values) SELECT '[5.1, 3.5, 1.4, 0.2]' FROM generate_series(1, %s)", WINDOW)
    Job(settings.model_copy(update={"chunk_rows": 10_000}), model).run()
    ask("INSERT INTO items (values) VALUES ('[1, 2, 3, 4]')")
    answer = call(app, "GET", "/data/unpredicted?after=55")
    assert (answer.json, answer.headers["link"]) == (
        [],
        f'</data/unpredicted?after={WINDOW + 55}&limit=100>; rel="next"',
    )
    assert pages(app, "unpredicted", 100)[-1] == WINDOW + 56


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "after=9223372036854775808", "after=1.5", "limit=0", "limit=1001", "limit=1e3"]
)
def test_wrong_parameters_are_a_422_that_names_them(done: Service, name: str, query: str) -> None:
    answer = call(done, "GET", f"/data/{name}?{query}")
    assert (answer.status, answer.error["code"]) == (422, "invalid_input")
    assert query.split("=")[0] in json.dumps(answer.error)


@pytest.mark.parametrize("name", LISTS)
def test_behind_the_last_id_there_is_nothing(done: Service, name: str) -> None:
    answer = call(done, "GET", f"/data/{name}?after=9223372036854775807")
    assert (answer.status, answer.json, "link" in answer.headers) == (200, [], False)


def test_without_the_database_answers_are_503(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"database_url": SecretStr("postgresql://nobody@127.0.0.1:1/none")}))
    for path in ("/ready", "/data/all", "/counts", "/progress"):
        assert call(app, "GET", path).status == 503
    assert call(app, "GET", "/health").status == 200


def test_the_job_that_is_applied_on_request_is_valid_for_old_and_new_kubernetes() -> None:
    (document,) = yaml.safe_load_all(
        (Path(__file__).parents[1] / "manifests/parallel/31-job-parallel.yaml").read_text()
    )
    for version in ("1.30", "1.37"):
        kubernetes_validate.validate(document, version, strict=True)


def test_the_gauges_follow_the_run(done: Service) -> None:
    assert "batch_rows_predicted 0.0" in call(done, "GET", "/metrics").body.decode()

    async def served() -> str:
        async with AsyncExitStack() as serving:
            await done.begin(serving)
            while True:
                text = done.metrics.render().decode()
                if "batch_finished 1.0" in text:
                    return text
                await asyncio.sleep(0.01)

    text = asyncio.run(asyncio.wait_for(served(), 10))
    assert "batch_rows 55.0" in text
    assert "batch_rows_predicted 45.0" in text
    assert "batch_rows_quarantined 10.0" in text
    assert "batch_rows_remaining 0.0" in text
