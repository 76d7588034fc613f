"""The API, with a real Redis and a model that counts."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlsys import pictures
from mlsys.cifar10 import LABELS
from mlsys.errors import NotReady, SettingsError, StartupError
from mlsys.picture import to_pixels
from mlsys.ports import free_port
from mlsys.redis import connect_blocking
from mlsys.redis_server import RedisServer
from mlsys.testing import Answer, eventually

from ..app import create_app
from ..items import ITEMS, Catalogue
from ..model import preprocessing
from ..settings import Settings
from .conftest import TOKEN, House
from .standin import FIRST, SECOND, StandIn

CAT = pictures.content("cat")
ITEM = {"data": "0000"}


def upload(content: bytes = CAT) -> dict[str, str]:
    return {"image_data": base64.b64encode(content).decode()}


def said(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.headers["x-cache"]


def expected(content: bytes, version: str = FIRST) -> list[float]:
    found: list[float] = StandIn.prediction(to_pixels(content)[np.newaxis], version)["probabilities"][0].tolist()
    return found


@pytest.mark.parametrize("item", [item.id for item in ITEMS])
def test_an_item_is_predicted_once_and_then_answered_from_the_cache(house: House, item: str, photographs: Path) -> None:
    first, second = house.post({"data": item}), house.post({"data": item})
    assert (said(first), said(second)) == ((200, "miss"), (200, "hit"))
    assert first.json == second.json == {"prediction": expected(Catalogue(photographs).content(item))}
    assert house.model.calls == 1


@pytest.mark.parametrize("asked", [ITEM, upload()])
def test_the_label_is_answered_by_the_same_entry(house: House, asked: dict[str, str]) -> None:
    probabilities = house.post(asked).json["prediction"]
    answer = house.post(asked, "/predict/label")
    assert said(answer) == (200, "hit")
    assert answer.json == {"prediction": LABELS[probabilities.index(max(probabilities))]}
    assert house.model.calls == 1


def test_a_picture_is_known_by_its_content(house: House) -> None:
    assert [said(house.post(upload(content)))[1] for content in (CAT, pictures.content("horse"), CAT)] == [
        "miss",
        "miss",
        "hit",
    ]
    assert house.post(upload()).json == {"prediction": expected(CAT)}


def test_hits_tell_their_age_and_which_model_said_it(house: House) -> None:
    miss, hit = house.post(ITEM), house.post(ITEM)
    assert "age" not in miss.headers
    assert int(hit.headers["age"]) >= 0
    assert miss.headers["x-model-version"] == hit.headers["x-model-version"] == FIRST


def test_what_is_past_its_time_is_stale_and_made_anew_meanwhile(
    start_house: Callable[..., House], redis_url: str
) -> None:
    house = start_house(redis_url, fresh_s=0.5, stale_s=60)
    first = house.post(ITEM)

    def stale() -> Answer | None:
        return answer if (answer := house.post(ITEM)).headers["x-cache"] == "stale" else None

    answer = eventually(stale, deadline_s=20)
    assert answer
    assert (answer.json, int(answer.headers["age"]) >= 0) == (first.json, True)
    eventually(lambda: said(house.post(ITEM)) == (200, "hit"), deadline_s=20)
    assert house.model.calls >= 2


def test_the_test_routes_predict_the_first_item_through_the_cache(house: House) -> None:
    assert said(house.ask("GET", "/predict/test")) == (200, "miss")
    assert house.ask("GET", "/predict/test").json == house.post(ITEM).json
    assert house.ask("GET", "/predict/test/label").json == house.post(ITEM, "/predict/label").json
    assert house.model.calls == 1


def test_the_items_are_eight_and_told_with_the_squares_that_they_show(house: House) -> None:
    listed = house.ask("GET", "/items").json
    assert [row["id"] for row in listed] == [f"{number:04}" for number in range(8)]
    assert listed[0] == {"id": "0000", "photograph": "cat", "square": None}
    assert listed[7]["photograph"] == "rocket"
    assert len({house.service.catalogue.content(row["id"]) for row in listed}) == 8


def test_labels_are_a_list_and_metadata_name_the_model(house: House) -> None:
    assert house.ask("GET", "/label").json == list(LABELS)
    about = house.ask("GET", "/metadata").json
    assert about["model"] == {"name": "cifar10_large", "version": FIRST}
    assert house.post({"data": about["data_sample"]}).json["prediction"] == about["prediction_sample"]


def test_100_identical_requests_at_once_are_one_call_of_the_model(house: House) -> None:
    house.model.hold_s = 0.2
    answers = house.at_once([ITEM] * 100)
    assert house.model.calls == 1
    assert {answer.body for answer in answers} == {answers[0].body}
    assert {said(answer) for answer in answers} == {(200, "miss")}


def test_so_they_are_of_two_services_that_share_a_redis(start_house: Callable[..., House], redis_url: str) -> None:
    first, second = start_house(redis_url), start_house(redis_url)
    first.model.hold_s = 0.2
    assert first.post(ITEM).json == second.post(ITEM).json
    assert first.model.calls == 1


def test_so_they_are_when_redis_has_as_little_time_as_by_default(
    start_house: Callable[..., House], redis_url: str
) -> None:
    house = start_house(redis_url, redis_budget_ms=20)
    house.model.hold_s = 0.2
    answers = house.at_once([ITEM] * 200)
    assert house.model.calls == 1
    assert {answer.status for answer in answers} == {200}


def test_a_process_that_died_while_it_computed_is_waited_for_until_its_claim_ends(house: House, redis_url: str) -> None:
    house.post(ITEM)
    with connect_blocking(redis_url) as client:
        (key,) = client.keys()
        client.delete(key)
        client.set(key + b":claim", b"", px=300)
        assert said(house.post(ITEM)) == (200, "miss")
        assert client.keys() == [key]


def test_another_model_never_answers_with_predictions_of_the_old_one(house: House, photographs: Path) -> None:
    content = Catalogue(photographs).content("0000")
    old = [house.post(ITEM) for _ in range(2)]
    house.model.version = SECOND
    # The service has not looked yet: a hit is the old model's and says so; a miss finds the new one.
    assert house.post(ITEM).headers["x-model-version"] == FIRST
    other = house.post({"data": "0001"})
    assert (said(other), other.headers["x-model-version"]) == ((200, "miss"), SECOND)
    new = [house.post(ITEM) for _ in range(2)]
    assert [said(answer) for answer in new] == [(200, "miss"), (200, "hit")]
    assert {answer.headers["x-model-version"] for answer in new} == {SECOND}
    assert [answer.json["prediction"] for answer in new] == [expected(content, SECOND)] * 2
    assert old[0].json["prediction"] == expected(content) != new[0].json["prediction"]


def test_a_new_model_is_noticed_also_where_everything_is_a_hit(
    start_house: Callable[..., House], redis_url: str
) -> None:
    house = start_house(redis_url, model_poll_s=0.05)
    house.post(ITEM)
    house.model.version = SECOND
    eventually(lambda: house.post(ITEM).headers["x-model-version"] == SECOND, deadline_s=20)


def test_a_model_for_something_else_gets_no_picture(house: House) -> None:
    house.post(ITEM)
    house.model.version, house.model.labels = SECOND, ["cat", "dog"]
    answer = house.post({"data": "0001"})
    assert (answer.status, answer.error["code"]) == (503, "not_ready")
    assert "or name one by MODEL_NAME" in answer.error["message"]
    assert house.model.calls == 2, "the one that it had, and the one that it addressed to a version that is gone"


def test_a_model_server_that_is_away_leaves_what_is_cached(house: House) -> None:
    house.post(ITEM)
    house.model.fail = NotReady("The model server is not available.")
    assert said(house.post(ITEM)) == (200, "hit")
    answer = house.post({"data": "0001"})
    assert (answer.status, answer.error["code"]) == (503, "not_ready")
    ready = house.ask("GET", "/ready")
    assert (ready.status, ready.json["model"]) == (200, "only what is cached: The model server is not available.")
    house.model.fail = None
    assert said(house.post({"data": "0001"})) == (200, "miss")


def test_without_model_and_memory_there_is_nothing_to_be_ready_for(
    start_house: Callable[..., House], own_redis: RedisServer
) -> None:
    house = start_house(own_redis.url())
    house.model.fail = NotReady("The model server is not available.")
    assert house.ask("GET", "/ready").status == 200
    own_redis.kill()
    answer = house.ask("GET", "/ready")
    assert (answer.status, answer.error["code"]) == (503, "not_ready")
    assert answer.error["message"] == "model is not ready: The model server is not available."


def test_decoding_is_part_of_the_time_for_a_prediction(start_house: Callable[..., House], redis_url: str) -> None:
    house = start_house(redis_url, model_timeout_s=60)
    house.post(upload())
    assert 0 < house.model.given_s < 60, "or a claim could end before what it is for"


@pytest.mark.parametrize("probabilities", [np.full((1, 10), np.nan), np.zeros((1, 10)), np.full((1, 3), 1 / 3)])
def test_an_answer_that_is_none_is_a_502_and_is_not_kept(house: House, probabilities: NDArray[Any]) -> None:
    house.model.answer = {"label": np.array([3]), "probabilities": probabilities.astype(np.float32)}
    for _ in range(2):
        assert (house.post(ITEM).status, house.model.calls > 0) == (502, True)
    house.model.answer = None
    assert said(house.post(ITEM)) == (200, "miss")


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"no picture", 415), (CAT[: len(CAT) // 2], 422), (b"", 422)],
    ids=["no picture", "half of one", "nothing"],
)
def test_a_refusal_is_known_the_second_time(house: House, content: bytes, status: int) -> None:
    first, second = house.post(upload(content)), house.post(upload(content), "/predict/label")
    assert (said(first), said(second)) == ((status, "miss"), (status, "hit"))
    assert first.error["message"] == second.error["message"]
    assert house.model.calls == 0


@pytest.mark.parametrize(
    "item",
    ["", "0008", "*", "000?", "00*0", "[0-9]*", "../0000", "..%2f0000", "0000\0", "0000 ", "x" * 10_000, "０000"],
)
def test_an_id_that_there_is_not_is_a_404_and_leaves_nothing_in_redis(house: House, item: str, redis_url: str) -> None:
    answer = house.post({"data": item})
    assert (answer.status, answer.error["code"]) == (404, "not_found")
    assert len(answer.error["message"]) < 200
    with connect_blocking(redis_url) as client:
        assert client.dbsize() == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": "0000", "image_data": ""},
        {"data": None},
        {"data": 0},
        {"data": ["0000"]},
        {"image_data": "not base64!"},
        {"image_data": None},
        {"item": "0000"},
        [],
    ],
)
def test_a_body_of_another_shape_is_a_422(house: House, body: object) -> None:
    answer = house.post(body)
    assert (answer.status, answer.error["code"]) == (422, "invalid_input")
    assert "x-cache" not in answer.headers


def test_an_invalidated_item_is_predicted_anew_whatever_the_model(house: House) -> None:
    house.post(ITEM), house.post({"data": "0001"})
    answer = house.ask("DELETE", "/cache/items/0000", token=TOKEN)
    assert (answer.status, answer.json) == (200, {"invalidated": "item 0000"})
    assert [said(house.post({"data": item}))[1] for item in ("0000", "0001", "0000")] == ["miss", "hit", "hit"]


def test_an_uploaded_picture_is_invalidated_by_its_sha256(house: House) -> None:
    house.post(upload())
    assert house.ask("DELETE", f"/cache/items/{hashlib.sha256(CAT).hexdigest()}", token=TOKEN).status == 200
    assert said(house.post(upload())) == (200, "miss")


@pytest.mark.parametrize("digits", [FIRST, FIRST + "0" * 52])
def test_an_invalidated_model_predicts_everything_anew(house: House, digits: str) -> None:
    house.post(ITEM), house.post(upload())
    answer = house.ask("DELETE", f"/cache/models/{digits}", token=TOKEN)
    assert (answer.status, answer.json) == (200, {"invalidated": f"model {FIRST}"})
    assert [said(house.post(asked))[1] for asked in (ITEM, upload(), ITEM)] == ["miss", "miss", "hit"]
    assert house.ask("DELETE", f"/cache/models/{SECOND}", token=TOKEN).status == 200
    assert said(house.post(ITEM)) == (200, "hit")


@pytest.mark.parametrize("place", ["items/0000", f"models/{FIRST}"])
def test_who_has_no_token_invalidates_nothing(house: House, place: str) -> None:
    house.post(ITEM)
    for token in ("", "wrong", TOKEN + "x", "é"):
        answer = house.ask("DELETE", f"/cache/{place}", token=token)
        assert (answer.status, answer.error["code"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert said(house.post(ITEM)) == (200, "hit")


def test_without_a_token_in_the_settings_nobody_does(start_house: Callable[..., House], redis_url: str) -> None:
    house = start_house(redis_url, cache_token=None)
    assert "without a CACHE_TOKEN" in house.ask("DELETE", "/cache/items/0000", token=TOKEN).error["message"]
    assert house.ask("DELETE", "/cache/items/0000").status == 401


@pytest.mark.parametrize(
    "place",
    ["items/*", "items/0008", "items/..%2f0000", "items/", "models/*", "models/0123", "models/cifar10_large", "*"],
)
def test_what_cannot_be_invalidated_is_a_404_and_wildcards_are_no_exception(house: House, place: str) -> None:
    house.post(ITEM)
    assert house.ask("DELETE", f"/cache/{place}", token=TOKEN).error["code"] == "not_found"
    assert said(house.post(ITEM)) == (200, "hit")


def test_redis_away_is_served_without_it_counted_and_used_again_when_it_is_back(
    start_house: Callable[..., House], own_redis: RedisServer
) -> None:
    house = start_house(own_redis.url(), redis_rest_s=0.1)
    assert [said(house.post(ITEM))[1] for _ in range(2)] == ["miss", "hit"]
    own_redis.kill()
    assert {said(house.post(ITEM)) for _ in range(5)} == {(200, "bypass")}
    assert house.metric('prediction_cache_bypasses_total{reason="down"}') == 5
    assert house.metric('prediction_cache_answers_total{result="bypass"}') == 5
    ready = house.ask("GET", "/ready")
    assert (ready.status, ready.json["cache"]) == (200, "bypassed: down")
    refused = house.ask("DELETE", "/cache/items/0000", token=TOKEN)
    assert (refused.status, refused.error["code"]) == (503, "not_ready")
    assert refused.error["message"] == "Redis is down, and has not confirmed the invalidation; try again."
    own_redis.start()
    eventually(lambda: said(house.post(ITEM)) == (200, "hit"), deadline_s=20)
    assert house.ask("GET", "/ready").json == {"model": "ok", "cache": "ok"}


def test_a_redis_that_is_not_there_does_not_keep_the_service_from_starting(start_house: Callable[..., House]) -> None:
    house = start_house(f"redis://127.0.0.1:{free_port()}/0")
    answers = house.at_once([ITEM] * 10)
    assert {said(answer) for answer in answers} == {(200, "bypass")}
    assert house.model.calls == 1


def test_a_full_redis_is_bypassed_for_what_is_new_and_hits_for_what_it_has(
    start_house: Callable[..., House], own_redis: RedisServer
) -> None:
    house = start_house(own_redis.url())
    house.post(ITEM)
    with connect_blocking(own_redis.url()) as client:
        client.config_set("maxmemory", 1)
    assert [said(house.post(asked)) for asked in ({"data": "0001"}, ITEM)] == [(200, "bypass"), (200, "hit")]
    assert house.metric('prediction_cache_bypasses_total{reason="full"}') == 1
    assert house.ask("DELETE", "/cache/items/0000", token=TOKEN).status == 200
    assert said(house.post(ITEM)) == (200, "bypass")


@pytest.mark.parametrize("damage", [b"", b"\x00" * 79, b'{"prediction": [0.1]}', b"\x01"])
def test_values_that_are_truncated_or_of_an_older_version_are_misses(
    house: House, damage: bytes, redis_url: str
) -> None:
    first = house.post(ITEM)
    with connect_blocking(redis_url) as client:
        (key,) = client.keys()
        client.set(key, damage)
    second = house.post(ITEM)
    assert (said(second), second.json) == ((200, "miss"), first.json)
    assert said(house.post(ITEM)) == (200, "hit")


def test_metrics_count_each_kind_of_answer_and_the_models_calls(house: House) -> None:
    for _ in range(3):
        house.post(ITEM)
    counted = {
        result: house.metric(f'prediction_cache_answers_total{{result="{result}"}}') for result in ("hit", "miss")
    }
    assert counted == {"hit": 2, "miss": 1}
    assert house.metric("prediction_cache_model_calls_total") == 1
    assert house.metric('prediction_cache_bypasses_total{reason="slow"}') == 0


def test_a_process_may_keep_some_itself(start_house: Callable[..., House], own_redis: RedisServer) -> None:
    house = start_house(own_redis.url(), near_entries=10, near_s=60)
    assert [said(house.post(ITEM))[1] for _ in range(3)] == ["miss", "hit", "hit"]
    own_redis.kill()
    assert said(house.post(ITEM)) == (200, "hit")
    assert said(house.post({"data": "0001"})) == (200, "bypass")


def test_the_document_describes_headers_both_fields_and_all_refusals(house: House) -> None:
    paths = house.service.openapi()["paths"]
    for path in ("/predict", "/predict/label"):
        operation = paths[path]["post"]
        assert set(operation["responses"]["200"]["headers"]) == {"X-Cache", "X-Model-Version", "Age"}
        assert {"400", "404", "413", "415", "422", "502", "503", "504"} <= set(operation["responses"])
        assert operation["requestBody"]["content"]["application/json"]["example"] == {"data": "0000"}
    assert "image_data" in json.dumps(house.service.openapi()["components"]["schemas"]["Asked"])


def test_the_preparations_name_follows_from_its_code() -> None:
    assert preprocessing() == preprocessing()
    assert len(preprocessing()) == 8


def test_a_missing_photograph_prevents_the_start(tmp_path: Path, redis_url: str) -> None:
    with pytest.raises(StartupError, match=r"PICTURES_PATH: .*cat\.png cannot be used \(.*\): `make run` writes it"):
        create_app(Settings(redis_url=redis_url, pictures_path=tmp_path))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cache_namespace", "a:b"),
        ("cache_namespace", "*"),
        ("model_target", "http://x:1"),
        ("fresh_s", 0),
    ],
)
def test_a_setting_that_cannot_be_meant_prevents_the_start(name: str, value: Any, redis_url: str) -> None:  # noqa: ANN401
    values: dict[str, Any] = {"redis_url": redis_url, name: value}
    with pytest.raises(SettingsError, match=name.upper()):
        Settings(**values)
