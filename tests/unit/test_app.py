"""The factory, with a small service of every kind of route."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import pytest
from fastapi import HTTPException
from pydantic import BaseModel
from structlog.testing import capture_logs

from mlsys.app import Service, Work
from mlsys.edge import Receive, Scope, Send
from mlsys.errors import MlsysError, NotFound, NotReady, StartupError
from mlsys.settings import Settings
from mlsys.testing import call


class Item(BaseModel):
    name: str


class Number(msgspec.Struct):
    value: float


class Gone(MlsysError):
    """The store is away."""


async def begun(service: Service) -> None:
    """Start the service, and stop it."""
    async with AsyncExitStack() as serving:
        await service.begin(serving)


@pytest.fixture
def log() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def service() -> Service:
    service = Service(title="probe", description="For tests.", settings=Settings(max_body_bytes=100))

    @service.fast_post("/double")
    async def double(number: Number) -> Number:
        if number.value < 0:
            raise NotFound(f"There is no double of {number.value}.")
        return Number(number.value / 0 if number.value == 0 else number.value * 2)

    @service.post("/items/{number}")
    async def items(number: int, item: Item) -> dict[str, int]:
        return {item.name: number}

    @service.get("/broken/{how}")
    async def broken(how: str) -> None:
        errors = {"found": NotFound("Not here."), "http": HTTPException(418, "Short and stout")}
        raise errors.get(how, KeyError("secret"))

    return service


def test_a_fast_route_and_an_ordinary_one_stand_side_by_side(service: Service, log: list[Any]) -> None:
    assert call(service, "POST", "/double", b'{"value": 2}').json == {"value": 4.0}
    assert call(service, "POST", "/items/3", b'{"name": "a"}').json == {"a": 3}


def test_a_fast_path_takes_post_only(service: Service, log: list[Any]) -> None:
    answer = call(service, "GET", "/double")
    assert (answer.status, answer.error["code"], answer.headers["allow"]) == (405, "method_not_allowed", "POST")


def test_health_answers_at_once_and_ready_names_what_it_looked_at(service: Service, log: list[Any]) -> None:
    assert call(service, "GET", "/health").json == {"health": "ok"}
    assert call(service, "GET", "/ready").json == {}

    async def fine() -> None: ...

    service.ready_when("store", fine)
    assert call(service, "GET", "/ready").json == {"store": "ok"}


def test_a_dependency_that_is_away_makes_ready_a_503_that_names_it(service: Service, log: list[Any]) -> None:
    async def away() -> None:
        raise Gone("it does not answer")

    service.ready_when("store", away)
    answer = call(service, "GET", "/ready")
    assert (answer.status, answer.error["code"], answer.headers["retry-after"]) == (503, "not_ready", "1")
    assert answer.error["message"] == "store is not ready: it does not answer"
    assert call(service, "GET", "/health").status == 200


def test_a_check_that_fails_unexpectedly_is_a_500_and_logged(service: Service, log: list[Any]) -> None:
    async def buggy() -> None:
        raise KeyError("secret")

    service.ready_when("store", buggy)
    assert call(service, "GET", "/ready").status == 500
    assert [line["event"] for line in log] == ["unexpected error", "request"]


@pytest.mark.parametrize(
    ("how", "status", "code", "message"),
    [
        ("found", 404, "not_found", "Not here."),
        ("http", 418, "http_error", "GET /broken/http: Short and stout."),
    ],
)
def test_expected_errors_of_ordinary_routes_are_answered_by_the_envelope(
    service: Service, log: list[Any], how: str, status: int, code: str, message: str
) -> None:
    answer = call(service, "GET", f"/broken/{how}")
    assert (answer.status, answer.error["code"], answer.error["message"]) == (status, code, message)
    assert [line["event"] for line in log] == ["request"]


def test_unexpected_errors_are_opaque_and_logged_once_with_their_trace(service: Service, log: list[Any]) -> None:
    for method, path, body in (("GET", "/broken/badly", b""), ("POST", "/double", b'{"value": 0}')):
        answer = call(service, method, path, body)
        assert (answer.status, answer.error["code"]) == (500, "internal")
        assert b"secret" not in answer.body
    assert [(line["event"], line.get("exc_info")) for line in log] == [
        ("unexpected error", True),
        ("request", None),
        ("unexpected error", True),
        ("request", None),
    ]


def test_an_error_of_a_fast_handler_is_answered_by_its_own_status(service: Service, log: list[Any]) -> None:
    answer = call(service, "POST", "/double", b'{"value": -1}')
    assert (answer.status, answer.error["message"]) == (404, "There is no double of -1.0.")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b'{"name": "\xff"}', 400, "invalid_json"),
        (b"[" * 99, 400, "invalid_json"),
        (b"{}", 422, "invalid_input"),
        (b"", 422, "invalid_input"),
        (b'{"name": "' + b"a" * 100 + b'"}', 413, "payload_too_large"),
    ],
)
def test_ordinary_routes_refuse_bad_bodies_as_fast_ones_do(
    service: Service, log: list[Any], body: bytes, status: int, code: str
) -> None:
    for sent in (body, [body, b""]):
        answer = call(service, "POST", "/items/3", sent)
        assert (answer.status, answer.error["code"]) == (status, code)


def test_a_wrong_field_of_an_ordinary_route_is_listed_in_the_details(service: Service, log: list[Any]) -> None:
    answer = call(service, "POST", "/items/x", b'{"name": 1}')
    assert [problem["where"] for problem in answer.error["details"]] == [["path", "number"], ["body", "name"]]


def test_metrics_are_in_the_text_format_of_prometheus(service: Service, log: list[Any]) -> None:
    call(service, "POST", "/items/3", b'{"name": "a"}')
    answer = call(service, "GET", "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b'http_requests_total{method="POST",route="/items/{number}",status="200"} 1.0' in answer.body


def test_metrics_name_routes_and_never_what_callers_think_of(service: Service, log: list[Any]) -> None:
    for method, path in (("DELETE", "/double"), ("GET", "/openapi.json"), ("GET", "/no/such/path")):
        call(service, method, path)
    metrics = call(service, "GET", "/metrics").body
    assert b'method="DELETE",route="/double",status="405"' in metrics
    assert b'method="GET",route="/openapi.json",status="200"' in metrics
    assert b'method="GET",route="unmatched",status="404"' in metrics


def test_start_and_stop_are_logged(service: Service, log: list[Any]) -> None:
    async def scenario() -> list[str]:
        sent: list[str] = []
        messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive() -> Any:  # noqa: ANN401  # an ASGI message
            return next(messages)

        async def send(message: Any) -> None:  # noqa: ANN401  # an ASGI message
            sent.append(message["type"])

        await service({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
        return sent

    assert asyncio.run(scenario()) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert [(line["event"], line["service"]) for line in log] == [("started", "probe"), ("stopped", "probe")]


def test_the_openapi_document_is_json_that_names_every_route(service: Service, log: list[Any]) -> None:
    document = call(service, "GET", "/openapi.json").json
    assert set(document["paths"]) == {"/health", "/ready", "/metrics", "/double", "/items/{number}", "/broken/{how}"}
    assert document == json.loads(json.dumps(service.openapi()))


def test_an_app_under_a_segment_answers_all_below_it_and_nothing_beside_it(service: Service) -> None:
    async def echo(scope: Scope, _: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    described: dict[str, Any] = {"/v9": {"get": {"responses": {}}}}
    service.serve_under("v9", echo, lambda: described)
    for path in ("/v9", "/v9/", "/v9/models/x"):
        answer = call(service, "GET", path)
        assert (answer.status, answer.body.decode()) == (200, path)
        assert answer.headers["x-request-id"]
    assert call(service, "GET", "/v90").status == 404
    assert service.openapi()["paths"]["/v9"] == described["/v9"]


def test_conditions_are_waited_for_in_turn_and_the_first_that_fails_is_the_refusal(service: Service) -> None:
    tries: list[str] = []

    async def after_three() -> None:
        tries.append("coffee")
        if len(tries) < 3:
            raise NotReady("The coffee is being made.")

    async def never() -> None:
        tries.append("tea")
        raise StartupError("There is no tea.")

    service.start_when("coffee", after_three, within_s=5)
    service.start_when("tea", never, within_s=5)
    with pytest.raises(StartupError, match="There is no tea"):
        asyncio.run(begun(service))
    assert tries == ["coffee", "coffee", "coffee", "tea"]
    assert str(service.refusal) == "There is no tea."


def test_a_wait_that_is_given_up_ends_with_the_reason_that_held_it(service: Service) -> None:
    async def never() -> None:
        raise NotReady("The coffee is being made.")

    service.start_when("coffee", never, within_s=60)
    service.stop()
    with pytest.raises(StartupError, match="coffee was not usable within 60 s: The coffee is being made"):
        asyncio.run(begun(service))


def test_what_goes_on_while_serving_is_entered_after_the_conditions_and_left_in_turn(service: Service) -> None:
    seen: list[str] = []

    async def condition() -> None:
        seen.append("condition")

    def named(name: str) -> Work:
        @asynccontextmanager
        async def work() -> AsyncIterator[None]:
            seen.append(f"{name} begins")
            yield
            seen.append(f"{name} ends")

        return work

    service.while_serving(named("one"))
    service.while_serving(named("two"))
    service.start_when("condition", condition, within_s=1)
    asyncio.run(begun(service))
    assert seen == ["condition", "one begins", "two begins", "two ends", "one ends"]


def test_what_a_check_returns_stands_in_the_answer_of_ready(service: Service) -> None:
    async def model() -> str:
        return "ok, and a release was refused"

    async def store() -> None:
        return None

    service.ready_when("model", model)
    service.ready_when("store", store)
    assert call(service, "GET", "/ready").json == {"model": "ok, and a release was refused", "store": "ok"}


def test_paths_may_have_a_cap_of_their_own(service: Service) -> None:
    service.allow("/items/7", max_body_bytes=1000, timeout_s=5)
    body = json.dumps({"name": "x" * 200}).encode()
    assert call(service, "POST", "/items/7", body).status == 200
    assert call(service, "POST", "/items/8", body).status == 413
