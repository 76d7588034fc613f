"""The stages as services: exchanged, left out, added and disordered by configuration alone."""

import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from uvicorn.config import STARTUP_FAILURE

from mlsys.ports import free_port
from mlsys.testing import Answer, Server, eventually, run_demo

PACKAGE = "chapter4_serving_patterns.vertical_microservice_pattern"
CHAIN = f"{PACKAGE}.app:create_app"
SURE, UNSURE, STRANGE = [5.1, 3.5, 1.4, 0.2], [5.9, 3.0, 5.0, 1.75], [51.0, 35.0, 14.0, 2.0]

pytestmark = pytest.mark.e2e


class Place(NamedTuple):
    """A stage that runs: the module that it is made of, its name in the chain, and where it is."""

    name: str
    url: str


@pytest.fixture(scope="module")
def places(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Place]]:
    """One service of each stage, of a second classifier, and of a stage that the pattern does not know."""
    made: dict[str, Server] = {}
    for role, module, model in (
        ("outlier", "outlier", ""),
        ("prediction", "prediction", "iris_svc"),
        ("forest", "prediction", "iris_rf"),
        ("decision", "decision", ""),
        ("entropy", "tests.entropy", ""),
    ):
        environment = {
            "PORT": str(free_port()),
            "OUTLIER_MODEL_PATH": str(models / "iris_outlier" / "model.onnx"),
            "MODEL_PATH": str(models / (model or "iris_svc") / "model.onnx"),
            "REQUEST_TIMEOUT_S": "10",
        }
        log = tmp_path_factory.mktemp("stages") / f"{role}.log"
        made[role] = Server(f"{PACKAGE}.{module}:create_app", log, environment)
    try:
        for server in made.values():
            eventually(server.is_ready, deadline_s=20)
        yield {role: Place({"forest": "prediction"}.get(role, role), server.url) for role, server in made.items()}
    finally:
        for server in made.values():
            server.kill()


@pytest.fixture
def chain_of(start: Callable[..., Server], places: dict[str, Place]) -> Callable[..., Server]:
    """`chain_of(*roles)` starts a chain of these services and does not wait."""

    def chain_of(*roles: str, **environment: str) -> Server:
        stages = [{**places[role]._asdict(), "cap_ms": 5000} for role in roles]
        return start(CHAIN, STAGES=json.dumps(stages), **{"REQUEST_TIMEOUT_S": "10", **environment})

    return chain_of


def predict(server: Server, flower: list[float], request_id: str = "one") -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        headers = {"Content-Type": "application/json", "X-Trace": "true", "X-Request-ID": request_id}
        connection.request("POST", "/predict", json.dumps({"data": [flower]}), headers)
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def ready(server: Server) -> Server:
    eventually(server.is_ready, deadline_s=20)
    return server


def test_another_classifier_takes_its_place_by_configuration_alone(chain_of: Callable[..., Server]) -> None:
    chain = ready(chain_of("outlier", "forest", "decision"))
    assert predict(chain, UNSURE).json["prediction"]["label"] == "versicolor"  # iris_svc says virginica
    about = chain.get("/metadata").json
    assert [(stage["name"], (stage["model"] or {}).get("name")) for stage in about["stages"]] == [
        ("outlier", "iris_outlier"),
        ("prediction", "iris_rf"),
        ("decision", None),
    ]
    assert about["prediction_sample"] == chain.get("/predict/test").json
    assert chain.get("/health/all").json == {name: {"health": "ok"} for name in ("outlier", "prediction", "decision")}


def test_a_stage_that_is_left_out_stops_nobody(chain_of: Callable[..., Server]) -> None:
    found = predict(ready(chain_of("prediction", "decision")), STRANGE).json
    assert list(found) == ["prediction", "decision", "stopped_by", "trace"]
    assert found["decision"]["action"]


def test_a_stage_that_the_pattern_does_not_know_is_added(chain_of: Callable[..., Server]) -> None:
    chain = ready(chain_of("outlier", "prediction", "entropy", "decision"))
    sure, unsure = predict(chain, SURE).json, predict(chain, UNSURE).json
    assert 0 < sure["entropy"]["bits"] < 1
    assert (sure["stopped_by"], sure["decision"]["action"]) == (None, "accept")
    assert unsure["entropy"]["bits"] > 1
    assert unsure["stopped_by"] == {"stage": "entropy", "reason": "too_uncertain"}
    assert unsure["decision"] is None


def refusal(server: Server) -> str:
    assert server.process.wait(20) == STARTUP_FAILURE
    said = server.log.read_text()
    assert "Traceback" not in said
    (sentence,) = [line for line in said.splitlines() if line.startswith("Cannot start: ")]
    return sentence


def test_stages_in_an_order_that_cannot_work_are_refused_at_the_start(chain_of: Callable[..., Server]) -> None:
    sentence = refusal(chain_of("outlier", "decision", "prediction"))
    assert "stage decision needs prediction, which no stage before it gives" in sentence


def test_a_url_of_another_stage_is_refused_at_the_start(start: Callable[..., Server], places: dict[str, Place]) -> None:
    stages = json.dumps([{"name": "outlier", "url": places["prediction"].url}])
    assert "stage outlier is a service that gives prediction: correct its URL" in refusal(start(CHAIN, STAGES=stages))


def test_stages_that_do_not_come_are_named(start: Callable[..., Server]) -> None:
    stages = json.dumps([{"name": "outlier", "url": f"http://127.0.0.1:{free_port()}"}])
    sentence = refusal(start(CHAIN, STAGES=stages, STAGES_WAIT_S="0.3"))
    assert "The chain was not usable within 0.3 s: Stage outlier at http://127.0.0.1:" in sentence


def test_the_demo_shows_where_flowers_end_and_says_that_it_can_hang_no_stage_elsewhere(
    chain_of: Callable[..., Server],
) -> None:
    shown = run_demo(PACKAGE, ready(chain_of("outlier", "prediction", "decision")).url)
    assert (shown.returncode, shown.stderr) == (0, "")
    for expected in ("accept", "ask_expert", "stopped by outlier", "not asked", "p50 "):
        assert expected in shown.stdout
