"""The proxy in this process, in front of services that are sound, that fail and that lie."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from mlsys.errors import SettingsError, StartupError
from mlsys.testing import Answer, eventually

from ..app import create_app
from ..settings import Settings
from ..stand_in import FAULTS, StandIn, Way
from .asking import FLOWER, ask, asked, get, post
from .conftest import Answering

Services = dict[str, StandIn]
CODES = {"hangs": "deadline_exceeded", "answers a byte a second": "deadline_exceeded"} | dict.fromkeys(
    ("breaks the connection", "answers 503"), "not_ready"
)
OTHERS = ("setosa", "versicolor")


def expected(answering: dict[str, Answering], *names: str) -> dict[str, Any]:
    return {name: json.loads(answering[name](FLOWER)) for name in names or answering}


def changed(settings: Settings, **values: str | float) -> Settings:
    return Settings(**(settings.model_dump() | values))


def events(body: bytes) -> list[tuple[str, Any]]:
    parts = [part.split("\n") for part in body.decode().split("\n\n") if part]
    return [(event.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for event, data in parts]


def test_a_flower_is_answered_by_all_three_services(settings: Settings, answering: dict[str, Answering]) -> None:
    assert post(settings).json == expected(answering)


def test_the_sample_is_asked_by_get_and_by_post(settings: Settings, answering: dict[str, Answering]) -> None:
    for path in ("/predict/get/test", "/predict/post/test"):
        assert get(settings, path).json == expected(answering)


@pytest.mark.parametrize(
    ("flower", "label"),
    [([5.1, 3.5, 1.4, 0.2], "setosa"), ([5.7, 2.8, 4.1, 1.3], "versicolor"), ([6.7, 3.0, 5.2, 2.3], "virginica")],
)
def test_the_label_is_that_of_the_surest_service(
    settings: Settings, answering: dict[str, Answering], flower: list[float], label: str
) -> None:
    answer = post(settings, "/predict/label", json.dumps({"data": [flower]}).encode())
    proba = answering[label].model.probabilities(flower)[0]
    assert answer.json == {"prediction": {"proba": pytest.approx(proba), "label": label}}


def test_each_service_says_how_it_is(settings: Settings, services: Services) -> None:
    services["virginica"].down()
    ready, health = asked(settings, ("GET", "/ready", b""), ("GET", "/health/all", b""))
    assert health.json["virginica"]["error"]["code"] == "not_ready"
    assert health.json["setosa"] == health.json["versicolor"] == {"health": "ok"}
    assert (ready.status, ready.json) == (200, {"services": "without virginica"})


def test_all_services_down_is_still_an_answer_about_each_and_the_proxy_is_not_ready(
    settings: Settings, services: Services
) -> None:
    for one in services.values():
        one.down()
    ready, health, health_all = asked(
        settings, ("GET", "/ready", b""), ("GET", "/health", b""), ("GET", "/health/all", b"")
    )
    assert (ready.status, health.status, health_all.status) == (503, 200, 200)
    assert {one["error"]["code"] for one in health_all.json.values()} == {"not_ready"}
    assert post(settings).error["code"] == "not_ready"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_service_that_fails_is_named_and_the_others_answers_are_there_within_the_deadline(
    settings: Settings, services: Services, answering: dict[str, Answering], fault: str
) -> None:
    async def scenario() -> tuple[Answer, float]:
        app = create_app(settings)
        async with AsyncExitStack() as serving:
            await app.begin(serving)
            services["virginica"].way = FAULTS[fault]
            began = time.monotonic()
            answer = await ask(app, "POST", "/predict", FLOWER)
            return answer, time.monotonic() - began

    answer, seconds = asyncio.run(scenario())
    assert seconds < 0.3 + 0.5
    assert answer.status == 200
    error = answer.json["virginica"]["error"]
    assert (error["code"], set(error)) == (CODES.get(fault, "bad_gateway"), {"code", "message"})
    assert {name: answer.json[name] for name in OTHERS} == expected(answering, *OTHERS)


def test_the_label_without_a_service_says_so(settings: Settings, services: Services) -> None:
    services["setosa"].down()
    answer = post(settings, "/predict/label").json
    assert set(answer["prediction"]) == {"proba", "label"}
    assert answer["prediction"]["label"] != "setosa"
    assert answer["missing"]["setosa"]["code"] == "not_ready"


@pytest.mark.parametrize(
    ("fault", "status"), [("hangs", 504), ("answers 503", 503), ("answers no JSON", 502), ("answers 500", 502)]
)
def test_who_asks_for_all_gets_an_error_that_names_the_service(
    settings: Settings, services: Services, fault: str, status: int
) -> None:
    services["versicolor"].way = FAULTS[fault]
    answer = post(changed(settings, branch_wait_s=0), policy="all")
    assert answer.status == status
    assert "of 3 services answered, and 3 must." in answer.error["message"]
    reasons = {name: one["code"] for name, one in answer.error["details"].items()}
    assert reasons.pop("versicolor") == CODES.get(fault, "bad_gateway")
    assert set(reasons.values()) <= {"not_waited_for"}
    assert post(changed(settings, branch_wait_s=0, policy="all")).status == status


def test_a_quorum_of_two_does_not_wait_for_the_third(settings: Settings, services: Services) -> None:
    services["virginica"].way = Way(after_s=20)
    began = time.monotonic()
    answer = post(changed(settings, branch_timeout_s=9.0, branch_wait_s=0), policy="quorum=2")
    assert time.monotonic() - began < 5  # its own deadline is 9 s
    assert answer.json["virginica"]["error"]["code"] == "not_waited_for"


@pytest.mark.parametrize("policy", ["quorum=0", "quorum=4", "some", "all;best_effort"])
@pytest.mark.parametrize("path", ["/predict", "/predict/label", "/predict/stream"])
def test_what_is_no_policy_is_a_422_and_asks_nobody(
    settings: Settings, services: Services, policy: str, path: str
) -> None:
    assert post(settings, path, policy=policy).status == 422
    assert sum(one.asked for one in services.values()) == 0


@pytest.mark.parametrize("path", ["/predict", "/predict/label", "/predict/stream"])
@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"NaN", 400), (b"\xff", 400), (b"{}", 422), (b'{"data":[[1,2,3]]}', 422), (b"[" * 100_000, 413)],
    ids=["empty", "NaN", "no UTF-8", "no data", "three numbers", "deep"],
)
def test_bad_input_is_refused_by_the_proxy_and_reaches_no_service(
    settings: Settings, services: Services, path: str, body: bytes, status: int
) -> None:
    assert post(settings, path, body).status == status
    assert sum(one.asked for one in services.values()) == 0


def test_the_stream_has_an_event_for_each_service_and_an_end(
    settings: Settings, answering: dict[str, Answering]
) -> None:
    answer = post(settings, "/predict/stream")
    assert answer.headers["content-type"].startswith("text/event-stream")
    *services, end = events(answer.body)
    assert dict(services) == expected(answering)
    assert end == ("end", {"answered": 3})


def test_the_stream_tells_the_quick_first_and_names_who_is_late_at_the_deadline(
    settings: Settings, services: Services
) -> None:
    services["setosa"].way = FAULTS["hangs"]
    services["versicolor"].way = Way(after_s=0.1)
    told = events(post(changed(settings, branch_wait_s=0), "/predict/stream").body)
    assert [name for name, _ in told] == ["virginica", "versicolor", "setosa", "end"]
    assert told[2][1]["error"]["code"] == "deadline_exceeded"
    assert told[3][1] == {"answered": 2}


def test_a_stream_that_cannot_have_what_its_policy_needs_ends_with_the_error(
    settings: Settings, services: Services
) -> None:
    services["setosa"].down()
    told = events(post(settings, "/predict/stream", policy="all").body)
    assert told[-1] == ("end", {"error": {"code": "not_ready", "message": told[-1][1]["error"]["message"]}})


def test_a_body_of_another_type_gets_no_stream(settings: Settings) -> None:
    (answer,) = asked(settings, ("POST", "/predict/stream", FLOWER), headers={"content-type": "text/plain"})
    assert answer.error["code"] == "unsupported_media_type"


def test_a_service_is_used_again_when_it_is_back(
    settings: Settings, services: Services, answering: dict[str, Answering]
) -> None:
    async def scenario() -> list[dict[str, Any]]:
        app, found = create_app(settings), []
        changes: list[Callable[[], None]] = [lambda: None, services["setosa"].down, services["setosa"].up]
        async with AsyncExitStack() as serving:
            await app.begin(serving)
            for change in changes:
                change()
                found.append((await ask(app, "POST", "/predict", FLOWER)).json["setosa"])
        return found

    well, down, again = asyncio.run(scenario())
    assert well == again == expected(answering)["setosa"]
    assert down["error"]["code"] == "not_ready"


def test_five_hundred_failing_requests_leave_neither_tasks_nor_connections(
    settings: Settings, services: Services
) -> None:
    async def scenario() -> tuple[int, int]:
        app = create_app(changed(settings, branch_timeout_s=0.2))
        async with AsyncExitStack() as serving:
            await app.begin(serving)
            before = len(asyncio.all_tasks())
            services["setosa"].way, services["versicolor"].way = FAULTS["hangs"], FAULTS["answers no JSON"]
            for _ in range(5):
                await asyncio.gather(*(ask(app, "POST", "/predict", FLOWER) for _ in range(100)))
            await asyncio.to_thread(eventually, lambda: not services["setosa"].connections, deadline_s=5)
            return before, len(asyncio.all_tasks())

    before, after = asyncio.run(scenario())
    assert after <= before


def test_a_replica_answers_for_one_that_is_down(
    settings: Settings, services: Services, answering: dict[str, Answering]
) -> None:
    with StandIn("setosa", answering["setosa"]) as replica:
        services["setosa"].down()
        both = changed(settings, setosa_url=f"{services['setosa'].url},{replica.url}")
        assert post(both, policy="all").json == expected(answering)
        assert replica.asked == 1


def test_the_address_of_another_species_ends_the_start(settings: Settings, services: Services) -> None:
    with pytest.raises(StartupError, match=r"SETOSA_URL=.*tells 'virginica', not 'setosa'"):
        post(changed(settings, setosa_url=services["virginica"].url))


def test_one_that_turns_up_later_as_another_species_is_not_believed(settings: Settings, services: Services) -> None:
    async def scenario() -> dict[str, Any]:
        swapped = changed(settings, setosa_url=services["virginica"].url)
        services["virginica"].down()
        app = create_app(swapped)
        async with AsyncExitStack() as serving:
            await app.begin(serving)
            services["virginica"].up()
            found: dict[str, Any] = (await ask(app, "POST", "/predict", FLOWER)).json
            return found

    answer = asyncio.run(scenario())
    assert answer["setosa"]["error"]["code"] == "bad_gateway"
    assert "tells 'virginica'" in answer["setosa"]["error"]["message"]


def test_a_service_that_another_one_took_the_place_of_is_not_believed_any_more(
    settings: Settings, services: Services, answering: dict[str, Answering]
) -> None:
    async def scenario() -> list[Answer]:
        app = create_app(settings)
        async with AsyncExitStack() as serving:
            await app.begin(serving)
            found = [await ask(app, "POST", "/predict", FLOWER)]
            services["setosa"].down()
            found.append(await ask(app, "POST", "/predict", FLOWER))
            with StandIn("virginica", answering["virginica"], port=services["setosa"].port):
                found.append(await ask(app, "POST", "/predict", FLOWER))
                found.append(await ask(app, "GET", "/health/all"))
            return found

    well, *failed = asyncio.run(scenario())
    assert well.json == expected(answering)
    assert [one.json["setosa"]["error"]["code"] for one in failed] == ["not_ready", "bad_gateway", "bad_gateway"]
    for one in failed[1:]:
        assert "tells 'virginica'" in one.json["setosa"]["error"]["message"]


@pytest.mark.parametrize(
    ("path", "policy"), [("/predict", "best_effort"), ("/predict", "quorum=3"), ("/predict/stream", "best_effort")]
)
def test_who_was_missing_is_counted_in_answers_errors_and_streams(
    settings: Settings, services: Services, path: str, policy: str
) -> None:
    services["setosa"].down()
    headers = {"policy": policy}
    _, metrics = asked(settings, ("POST", path, FLOWER), ("GET", "/metrics", b""), headers=headers)
    assert 'services_missing_total{code="not_ready",service="setosa"} 1.0' in metrics.body.decode()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SETOSA_URL", "127.0.0.1:8000"),
        ("SETOSA_URL", "http://a, http://b"),
        ("SETOSA_URL", "http://user:password@a"),
        ("POLICY", "quorum=4"),
        ("BRANCH_TIMEOUT_S", "10"),
        ("HEDGE_SHARE", "2"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable):
        create_app()
