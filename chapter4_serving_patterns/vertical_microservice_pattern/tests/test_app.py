"""The chain's API and what it refuses, with the stages in the same process; and the stages' own routes."""

import asyncio
import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mlsys import iris
from mlsys.app import Service
from mlsys.errors import DeadlineExceeded, ModelError, SettingsError
from mlsys.testing import Answer, call

from .. import app as chain_app
from .. import decision, outlier, prediction
from ..app import add_predictions, make_chain
from ..chain import Stage
from ..interface import Finding, Question
from ..settings import Settings
from .stages import local, paths

SURE, UNSURE, STRANGE = [5.1, 3.5, 1.4, 0.2], [5.9, 3.0, 5.0, 1.75], [51.0, 35.0, 14.0, 2.0]
TRACED = {"content-type": "application/json", "x-trace": "true"}


def body(flower: object, **more: object) -> bytes:
    return json.dumps({"data": [flower], **more}).encode()


def predict(app: Service, flower: object, headers: dict[str, str] | None = None) -> Answer:
    return call(app, "POST", "/predict", body(flower), headers)


def test_a_typical_flower_goes_through_all_stages_and_is_accepted(app: Service) -> None:
    answer = predict(app, SURE)
    assert answer.status == 200
    found = answer.json
    assert list(found) == ["outlier", "prediction", "decision", "stopped_by"]
    assert (found["outlier"]["outlier"], found["prediction"]["label"]) == (False, "setosa")
    assert found["decision"] == {"action": "accept", "rule": "sure"}
    assert found["stopped_by"] is None
    assert call(app, "GET", "/predict/test").json == found


def test_a_flower_between_two_species_is_for_an_expert(app: Service) -> None:
    assert predict(app, UNSURE).json["decision"] == {"action": "ask_expert", "rule": "torn"}


def test_an_outlier_is_neither_classified_nor_decided_about(app: Service) -> None:
    found = predict(app, STRANGE, TRACED).json
    assert found["stopped_by"] == {"stage": "outlier", "reason": "outlier"}
    assert (found["prediction"], found["decision"]) == (None, None)
    assert [step["stage"] for step in found["trace"]] == ["outlier"]


def test_the_trace_comes_on_request_and_says_budget_time_and_result_of_each_stage(app: Service) -> None:
    found = predict(app, SURE, TRACED).json
    assert [step["stage"] for step in found["trace"]] == ["outlier", "prediction", "decision"]
    for step in found["trace"]:
        assert 0 < step["ms"] < step["budget_ms"] <= 1000
        assert step["result"] == found[step["stage"]]
    assert "trace" not in predict(app, SURE, TRACED | {"x-trace": "false"}).json


def test_another_value_of_the_trace_header_is_refused(app: Service) -> None:
    assert predict(app, SURE, TRACED | {"x-trace": "yes"}).status == 422


@pytest.mark.parametrize(
    "bad",
    [
        b"{}",
        b"NaN",
        body([5.1, 3.5, 1.4]),
        body(["5.1", 3.5, 1.4, 0.2]),
        body([1e39, 3.5, 1.4, 0.2]),
        body(SURE, so_far={"prediction": {"label": "setosa"}}),
        b'{"data": ' + b"[" * 30_000,
    ],
)
def test_bad_input_reaches_no_stage(app: Service, bad: bytes) -> None:
    before = asked(app)
    answer = call(app, "POST", "/predict", bad)
    assert 400 <= answer.status < 500
    assert answer.error["message"]
    assert asked(app) == before


def asked(app: Service) -> list[str]:
    lines = call(app, "GET", "/metrics").body.decode().splitlines()
    return [line for line in lines if line.startswith("chain_stage_seconds_count")]


@pytest.mark.parametrize("extreme", [-3.4e38, -1e19, -0.0, 1e-45, 1e19, 3.4e38])
def test_the_most_extreme_flowers_get_a_finite_score(app: Service, extreme: float) -> None:
    for flower in ([extreme] * 4, [extreme, -extreme, 1.0, 0.2]):
        found = predict(app, flower).json
        assert math.isfinite(found["outlier"]["score"])
        assert found["stopped_by"]


def test_metrics_tell_stages_and_their_ends_apart(app: Service) -> None:
    predict(app, SURE)
    predict(app, STRANGE)
    text = "\n".join(asked(app))
    assert '{end="stop",stage="outlier"}' in text
    assert '{end="result",stage="decision"}' in text


def in_front_of(stages: list[Stage], settings: Settings) -> Service:
    service = Service(title="test", description="test", settings=settings)
    add_predictions(service, make_chain(service, stages, settings), [stage.name for stage in stages])
    return service


def test_a_budget_comes_out_of_the_requests_time_where_that_is_less_than_the_cap(models: Path) -> None:
    settings = Settings(access_log=False, request_timeout_s=1.0, **paths(models))
    budgets = [
        step["budget_ms"] for step in predict(in_front_of(local(settings), settings), SURE, TRACED).json["trace"]
    ]
    assert 600 < budgets[0] <= 1000 - 50 - 2 * 100
    for earlier, later in pairwise(budgets):
        assert later < earlier + 100  # its reserve is now its own, and some time has passed


def test_the_chain_says_which_stage_is_late_before_the_request_itself_is_over() -> None:
    settings = Settings(access_log=False, request_timeout_s=0.8, chain_reserve_ms=400)

    async def hang(question: Question, budget_s: float) -> Finding[Any]:
        try:
            return await asyncio.wait_for(asyncio.Future(), budget_s)
        except TimeoutError:
            raise DeadlineExceeded("Stage slow did not answer.") from None

    answer = predict(in_front_of([Stage("slow", hang, cap_s=9.0, reserve_s=0.1)], settings), SURE)
    assert (answer.status, answer.error["details"]["stage"]) == (504, "slow")
    assert 300 < answer.error["details"]["trace"][0]["budget_ms"] <= 400


# The stages as services.


@pytest.fixture(params=[outlier, prediction, decision], ids=lambda module: module.__name__.rpartition(".")[2])
def stage(request: pytest.FixtureRequest, models: Path) -> tuple[str, Service]:
    name: str = request.param.__name__.rpartition(".")[2]
    return name, request.param.create_app(Settings(access_log=False, **paths(models)))


KNOWN: dict[str, dict[str, Any]] = {
    "outlier": {},
    "prediction": {"outlier": {"score": 0.3, "outlier": False}},
    "decision": {"prediction": {"label": "setosa", "probabilities": [0.9, 0.06, 0.04]}, "season": {"month": 5}},
}


def test_every_stage_takes_one_question_and_gives_one_form_of_finding(stage: tuple[str, Service]) -> None:
    name, app = stage
    answer = call(app, "POST", "/stage", body(SURE, so_far=KNOWN[name]))
    assert (answer.status, list(answer.json)) == (200, ["result", "stop"])
    assert answer.json["stop"] is None
    assert call(app, "GET", "/stage").json["gives"] == name
    assert call(app, "GET", "/ready").status == 200


@pytest.mark.parametrize("bad", [b"{}", b"x", body([1.0]), body(SURE, unknown=1), body(SURE, so_far=[])])
def test_a_stage_refuses_what_is_no_question(stage: tuple[str, Service], bad: bytes) -> None:
    answer = call(stage[1], "POST", "/stage", bad)
    assert 400 <= answer.status < 500
    assert answer.error["message"]


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"prediction": None},
        {"prediction": {"label": "rose", "probabilities": [0.9, 0.06, 0.04]}},
        {"prediction": {"label": "setosa", "probabilities": [0.9, 0.1]}},
        {"prediction": {"label": "setosa", "probabilities": [0.9, 0.9, 0.9]}},
        {"prediction": {"label": "setosa", "probabilities": [1.9, -0.9, 0.0]}},
    ],
)
def test_the_stage_decision_decides_nothing_without_a_sound_prediction(models: Path, told: dict[str, Any]) -> None:
    app = decision.create_app(Settings(access_log=False))
    assert call(app, "POST", "/stage", body(SURE, so_far=told)).status == 422


@pytest.mark.parametrize(
    ("create", "name", "wrong"),
    [
        (outlier.create_app, "outlier_model_path", "iris_svc"),
        (prediction.create_app, "model_path", "iris_outlier"),
    ],
    ids=["outlier", "prediction"],
)
def test_a_stage_refuses_the_model_of_another(
    models: Path, create: Callable[..., Service], name: str, wrong: str
) -> None:
    with pytest.raises(ModelError, match="its labels are"):
        create(Settings(**paths(models) | {name: models / wrong / "model.onnx"}))


def stages(*some: dict[str, object]) -> str:
    return json.dumps([{"url": "http://127.0.0.1:1"} | one for one in some])


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("stages", "outlier", "STAGES='outlier' is not valid: invalid JSON"),
        ("stages", "[]", "at least 1 item"),
        ("stages", "{}", "valid tuple"),
        ("stages", stages({"name": "Outlier"}), "STAGES_0_NAME='Outlier' is not valid"),
        ("stages", stages({"name": "a", "cap": 1}), "STAGES_0_CAP=1 is not valid: extra"),
        ("stages", stages({"name": "a", "cap_ms": 0}), "STAGES_0_CAP_MS=0 is not valid"),
        ("stages", stages({"name": "a"}, {"name": "a"}), "STAGES has a more than once"),
        ("stages", stages({"name": "trace"}), "key of the answer"),
        ("stages", stages({"name": "a", "cap_ms": 5, "reserve_ms": 6}), "a at most cap_ms=5 and at least reserve_ms=6"),
        ("stages", stages({"name": "a", "cap_ms": 9e3, "reserve_ms": 1950}), "sum to 2000 ms, and REQUEST_TIMEOUT_S=2"),
        ("rules", "[]", "at least 1 item"),
        ("rules", '[{"name": "a", "action": "b", "top_below": 2}]', "RULES_0_TOP_BELOW=2"),
        ("rules", '[{"name": "a", "action": "b", "species": ["rose"]}]', "RULES_0_SPECIES_0='rose'"),
        ("rules", '[{"name": "a", "action": "b", "lead_below": 0.5}]', "RULES ends with a, which has a condition"),
        ("rules", '[{"name": "a", "action": "b"}, {"name": "c", "action": "d"}]', "RULES has c after a, which always"),
    ],
)
def test_a_wrong_setting_is_refused_in_a_sentence(variable: str, value: str, sentence: str) -> None:
    values: dict[str, Any] = {variable: value}
    with pytest.raises(SettingsError) as caught:
        Settings(**values)
    assert sentence in str(caught.value)


def test_a_url_that_is_none_is_refused_when_the_chain_is_built() -> None:
    with pytest.raises(SettingsError, match=r"'ftp://x' is no URL of a service \(Stage a\)"):
        chain_app.create_app(Settings(stages='[{"name": "a", "url": "ftp://x"}]'))


def test_labels_are_the_books(models: Path) -> None:
    app = chain_app.create_app(Settings(access_log=False))
    assert call(app, "GET", "/label").json == {"0": "setosa", "1": "versicolor", "2": "virginica"}
    assert iris.LABELS == ("setosa", "versicolor", "virginica")
