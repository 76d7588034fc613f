"""The API, with a real Redis and the real model server."""

import json
import shutil
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from mlsys.errors import SettingsError, StartupError
from mlsys.model import Model
from mlsys.picture import to_pixels
from mlsys.redis import connect_blocking
from mlsys.testing import eventually

from ..samples import SAMPLES
from ..settings import Settings
from .conftest import Begin, key

BATCH = json.dumps({"data": [*SAMPLES, "9999"]}).encode()


def test_a_prediction_is_the_models_own_and_the_second_comes_from_the_cache(
    begin: Begin, items: Path, models: Path
) -> None:
    app = begin()
    model = Model.load(models / "cifar10_large" / "model.onnx")
    batch = to_pixels((items / "0000-cat.png").read_bytes())[np.newaxis]
    for how in ("miss", "hit"):
        answer = app.ask("POST", "/predict", b'{"data": "0000"}')
        assert (answer.status, answer.headers["x-cache"]) == (200, how)
        assert answer.headers["age"].isdecimal()
        assert np.allclose(answer.json["prediction"], model.predict(batch)[0], atol=1e-6)
        eventually(lambda: app.counted("filled"), deadline_s=10)
    assert app.label("0000").json == {"prediction": "cat"}


def test_what_redis_has_is_the_tensor_and_it_is_what_the_model_is_given(
    begin: Begin, items: Path, redis_url: str
) -> None:
    app = begin()
    app.label("0002")
    eventually(lambda: app.counted("filled"), deadline_s=10)
    with connect_blocking(redis_url) as redis:
        assert 0 < redis.pttl(key(items, "0002")) <= 3_600_000
        horse = cast("bytes", redis.get(key(items, "0002")))
        assert len(horse) == 32 * 32 * 3 + 23
        redis.set(key(items, "0000"), horse)
    assert app.label("0000").json == {"prediction": "horse"}


def test_the_test_routes_predict_the_first_item(begin: Begin) -> None:
    app = begin()
    assert app.ask("GET", "/predict/test/label").json == {"prediction": "cat"}
    assert app.ask("GET", "/predict/test").json == app.ask("POST", "/predict", b'{"data": "0000"}').json


def test_items_labels_and_metadata_are_listed(begin: Begin) -> None:
    app = begin()
    assert app.ask("GET", "/items").json == {"items": [f"{number:04}" for number in range(8)]}
    assert app.ask("GET", "/label").json[3] == "cat"
    about = app.ask("GET", "/metadata").json
    assert about["model"]["name"] == "cifar10_large"
    assert about["prediction_sample"] == app.ask("GET", "/predict/test").json["prediction"]
    assert app.ask("GET", "/ready").json == {"model": "ok", "source": "ok", "cache": "ok"}


def test_a_batch_answers_for_each_id_what_a_single_request_would_and_says_what_is_missing(begin: Begin) -> None:
    app = begin()
    app.label("0000")
    eventually(lambda: app.counted("filled"), deadline_s=10)
    answers = app.ask("POST", "/predict/batch", BATCH).json["predictions"]
    assert list(answers) == [*SAMPLES, "9999"]
    assert answers["9999"] == {
        "error": {"code": "not_found", "message": "There is no item '9999'; GET /items lists them."}
    }
    assert [answers[item]["cache"] for item in SAMPLES] == ["hit"] + ["miss"] * 7
    for item in SAMPLES:
        assert answers[item]["label"] == app.label(item).json["prediction"]
        assert answers[item]["age_s"] >= 0


def test_a_batch_is_one_round_trip_to_redis(begin: Begin, redis_url: str) -> None:
    app = begin()
    app.ask("POST", "/predict/batch", BATCH)
    eventually(lambda: app.counted("filled") == 8, deadline_s=10)
    with connect_blocking(redis_url) as redis:
        redis.config_resetstat()
        app.ask("POST", "/predict/batch", BATCH)
        commands = redis.info("commandstats")
        assert commands["cmdstat_mget"]["calls"] == 1
        assert not {"cmdstat_get", "cmdstat_set", "cmdstat_keys", "cmdstat_scan"} & set(commands)


def test_a_caller_may_want_nothing_from_the_cache(begin: Begin) -> None:
    app = begin()
    app.label("0000")
    answer = app.label("0000", cache_control="no-cache")
    assert (answer.headers["x-cache"], answer.headers["age"]) == ("bypass", "0")


HOSTILE = [
    "9999",
    "../../etc/passwd",
    "..\\..\\x",
    "/etc/passwd",
    "0000-cat.png",
    "index.json",
    "*",
    "000?",
    "{items}:cifar10-pixels-1:0000",
    "größe 猫 \U0001f431",
    "\x00",
    " 0000",
]
"""No ids, and what would be one if ids were made into paths, patterns or keys."""


def test_an_id_that_is_not_listed_is_a_404_and_leaves_nothing_in_redis(begin: Begin, redis_url: str) -> None:
    app = begin()
    for item in HOSTILE:
        answer = app.ask("POST", "/predict/label", json.dumps({"data": item}).encode())
        assert (answer.status, answer.error["code"]) == (404, "not_found"), item
    answers = app.ask("POST", "/predict/batch", json.dumps({"data": HOSTILE}).encode()).json["predictions"]
    assert {answer["error"]["code"] for answer in answers.values()} == {"not_found"}
    with connect_blocking(redis_url) as redis:
        assert redis.dbsize() == 0


BAD_BODIES = [
    (b'{"data": "%s"}' % (b"0" * 10_000), 422),
    (b'{"data": ""}', 422),
    (b'{"data": 0}', 422),
    (b'{"data": null}', 422),
    (b'{"data": ["0000"]}', 422),
    (b'{"data": "0000", "more": 1}', 422),
    (b"{}", 422),
    (b'{"data": "\\ud800"}', 422),
    (b'{"data": "\xff"}', 400),
    (b'{"data": "0000"', 400),
    (b"", 400),
]


def test_a_body_that_names_no_item_is_refused(begin: Begin) -> None:
    app = begin()
    for path in ("/predict", "/predict/label"):
        for body, status in BAD_BODIES:
            answer = app.ask("POST", path, body)
            assert (answer.status, bool(answer.error["message"])) == (status, True), answer.body
        assert app.ask("POST", path, b'{"data": "0000"}', content_type="text/plain").status == 415


def test_a_batch_that_is_none_or_too_large_is_refused(begin: Begin) -> None:
    app = begin()
    for ids in ([], ["0000"] * 65, ["0000", ""], ["0" * 65], "0000", [["0000"]]):
        answer = app.ask("POST", "/predict/batch", json.dumps({"data": ids}).encode())
        assert (answer.status, answer.error["code"]) == (422, "invalid_input"), ids


def test_an_id_that_is_there_twice_is_answered_once(begin: Begin) -> None:
    answers = begin().ask("POST", "/predict/batch", b'{"data": ["0000", "0001", "0000"]}').json["predictions"]
    assert list(answers) == ["0000", "0001"]


def test_all_items_are_warm_soon_after_the_start_and_stay_so(begin: Begin, redis_url: str) -> None:
    app = begin(warm_items=1000, warm_every_s=0.1)
    with connect_blocking(redis_url) as redis:
        eventually(lambda: redis.dbsize() == 8, deadline_s=20)
        redis.flushall()
        eventually(lambda: redis.dbsize() == 8, deadline_s=20)
    assert app.label("0005").headers["x-cache"] == "hit"
    assert app.counted("miss") == 0


def test_no_more_items_are_kept_warm_than_set(begin: Begin, items: Path, redis_url: str) -> None:
    app = begin(warm_items=3)
    eventually(lambda: app.counted("filled") == 3, deadline_s=20)
    with connect_blocking(redis_url) as redis:
        assert set(redis.keys()) == {key(items, f"000{number}").encode() for number in range(3)}


def test_a_new_process_finds_what_another_has_prepared(begin: Begin) -> None:
    first = begin()
    first.label("0000")
    eventually(lambda: first.counted("filled"), deadline_s=10)
    second = begin()
    assert second.label("0000").headers["x-cache"] == "hit"


def test_two_sources_that_share_a_redis_do_not_answer_for_each_other(begin: Begin, items: Path, tmp_path: Path) -> None:
    other = shutil.copytree(items, tmp_path / "other")
    names = json.loads((other / "index.json").read_bytes())
    (other / "index.json").write_text(json.dumps({"0000": names["0002"]}))
    first, second = begin(), begin(source=str(other))
    first.label("0000")
    eventually(lambda: first.label("0000").headers["x-cache"] == "hit", deadline_s=10)
    assert second.label("0000").json == {"prediction": "horse"}
    assert first.label("0000").json == {"prediction": "cat"}


def test_every_operation_says_how_the_cache_answers(begin: Begin) -> None:
    paths = begin().service.openapi()["paths"]
    for path in ("/predict", "/predict/label"):
        operation = paths[path]["post"]
        assert set(operation["responses"]["200"]["headers"]) == {"X-Cache", "Age"}
        assert {"400", "404", "408", "413", "415", "422", "502", "503", "504"} <= set(operation["responses"])


def test_a_source_that_is_not_there_prevents_the_start(begin: Begin, tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"The source was not usable within 0\.2 s: .*no file index\.json"):
        begin(source=str(tmp_path / "nowhere"), source_wait_s=0.2)


def test_a_model_for_something_else_prevents_the_start(begin: Begin) -> None:
    with pytest.raises(StartupError, match="The model server was not usable"):
        begin(model_name="iris_svc", model_wait_s=0.2)


def test_ages_that_do_not_ascend_prevent_the_start() -> None:
    with pytest.raises(SettingsError, match="RENEW_S=300, EXPIRE_S=200 and KEEP_S=3600 do not ascend"):
        Settings(redis_url="redis://127.0.0.1:1/0", expire_s=200)


def test_the_password_of_redis_is_in_no_message() -> None:
    with pytest.raises(SettingsError) as refused:
        Settings(redis_url=7, expired="maybe")
    assert "EXPIRED='maybe' is not valid" in str(refused.value)
    assert "secret" not in repr(Settings(redis_url="redis://:secret@127.0.0.1:1/0"))
