"""The edge around small ASGI apps of our own, driven message by message."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from mlsys import logs
from mlsys.edge import App, Edge, Limits, Message, Receive, Scope, Send
from mlsys.errors import InvalidInput
from mlsys.metrics import Metrics
from mlsys.settings import Settings
from mlsys.testing import Answer, call, exchange

Logs = list[Any]
BEGUN: Message = {"type": "http.request", "body": b"{", "more_body": True}


@pytest.fixture
def log() -> Iterator[Logs]:
    with capture_logs() as lines:
        yield lines


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the body, and the path as the matched route."""
    scope["route"] = type("Route", (), {"path": scope["path"]})
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def deaf(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer without reading the body."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    raise ZeroDivisionError("the secret reason")


async def slow(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.Event().wait()


def edge(app: App, **settings: object) -> tuple[Edge, Metrics]:
    metrics = Metrics()
    return Edge(app, Settings(**settings), metrics), metrics


def counted(metrics: Metrics, **labels: str) -> float | None:
    return metrics.registry.get_sample_value("http_requests_total", labels)


def test_an_answer_carries_the_request_id_that_the_caller_gave(log: Logs) -> None:
    answer = call(edge(echo)[0], "POST", "/", b"hello", {"x-request-id": "abc"})
    assert answer == Answer(200, {"x-request-id": "abc"}, b"hello")


def test_each_request_without_an_id_gets_a_full_uuid_of_its_own(log: Logs) -> None:
    app, _ = edge(echo)
    ids = {call(app, "GET", "/").headers["x-request-id"] for _ in range(10)}
    assert len(ids) == 10
    assert {len(one) for one in ids} == {36}


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(("given", "known"), [(TRACE, TRACE), (TRACE[:-1], None), (TRACE.upper(), None), (None, None)])
def test_the_trace_that_a_request_is_part_of_is_known_if_it_is_one(given: str | None, known: str | None) -> None:
    seen: list[str | None] = []

    async def look(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(logs.traceparent.get())
        await deaf(scope, receive, send)

    call(edge(look)[0], "GET", "/", headers={"traceparent": given} if given else {})
    assert seen == [known]


def test_a_request_is_logged_once_with_what_was_answered_and_how_long_it_took(log: Logs) -> None:
    call(edge(echo)[0], "GET", "/path", headers={"x-request-id": "abc"})
    (line,) = log
    assert line.pop("ms") >= 0
    assert line == {"event": "request", "method": "GET", "path": "/path", "status": 200, "log_level": "info"}


def test_the_access_log_can_be_turned_off(log: Logs) -> None:
    call(edge(echo, access_log=False)[0], "GET", "/")
    assert log == []


def test_probes_are_logged_at_debug_since_they_come_every_few_seconds(log: Logs) -> None:
    call(edge(echo)[0], "GET", "/ready")
    assert [line["log_level"] for line in log] == ["debug"]


def test_requests_are_counted_by_method_route_and_status(log: Logs) -> None:
    app, metrics = edge(echo)
    call(app, "GET", "/a")
    call(app, "GET", "/a")
    call(edge(deaf)[0], "GET", "/b")
    assert counted(metrics, method="GET", route="/a", status="200") == 2
    assert metrics.registry.get_sample_value("http_requests_in_flight") == 0


def test_a_request_without_a_matched_route_is_counted_under_one_name(log: Logs) -> None:
    app, metrics = edge(deaf)
    call(app, "GET", "/any/path/of/the/callers")
    assert counted(metrics, method="GET", route="unmatched", status="200") == 1


def test_an_unexpected_error_is_an_opaque_500_and_logged_once_with_its_trace_and_id(log: Logs) -> None:
    answer = call(edge(broken)[0], "GET", "/", headers={"x-request-id": "abc"})
    assert (answer.status, answer.error["code"], answer.error["request_id"]) == (500, "internal", "abc")
    assert b"secret" not in answer.body
    (line,) = [line for line in log if line["log_level"] == "error"]
    assert line["exc_info"] is True
    assert line["path"] == "/"


def test_an_expected_error_is_answered_and_no_trace_is_logged(log: Logs) -> None:
    async def picky(scope: Scope, receive: Receive, send: Send) -> None:
        raise InvalidInput("Not this.", details={"where": "there"})

    answer = call(edge(picky)[0], "GET", "/")
    assert (answer.status, answer.error["message"], answer.error["details"]) == (422, "Not this.", {"where": "there"})
    assert [line["event"] for line in log] == ["request"]


def test_an_error_after_the_answer_began_is_logged_and_nothing_is_sent_after_it(log: Logs) -> None:
    async def breaks_off(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ZeroDivisionError

    assert call(edge(breaks_off)[0], "GET", "/").body == b"half"
    assert [line["event"] for line in log] == ["unexpected error", "request"]


def test_a_declared_body_over_the_cap_is_refused_before_the_app_is_asked(log: Logs) -> None:
    answer = call(edge(broken, max_body_bytes=10)[0], "POST", "/", b"12345678901")
    assert (answer.status, answer.error["code"], answer.headers["connection"]) == (413, "payload_too_large", "close")
    assert call(edge(echo, max_body_bytes=10)[0], "POST", "/", b"1234567890").status == 200


def test_a_chunked_body_is_refused_as_soon_as_it_is_over_the_cap(log: Logs) -> None:
    chunks = [b"12345"] * 1000
    answer = call(edge(echo, max_body_bytes=10)[0], "POST", "/", chunks)
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert "at least 15 bytes" in answer.error["message"]
    assert call(edge(echo, max_body_bytes=10)[0], "POST", "/", chunks[:2]).body == b"1234512345"


def test_an_answer_before_the_end_of_a_chunked_body_closes_the_connection(log: Logs) -> None:
    assert call(edge(deaf)[0], "POST", "/", [b"12", b"34"]).headers["connection"] == "close"
    assert "connection" not in call(edge(echo)[0], "POST", "/", [b"12", b"34"]).headers
    assert "connection" not in call(edge(deaf)[0], "POST", "/", b"1234").headers


def test_a_body_that_does_not_arrive_in_time_is_a_408_that_closes_the_connection(log: Logs) -> None:
    app, metrics = edge(echo, request_timeout_s=0.05)
    answer = asyncio.run(exchange(app, "POST", "/", [BEGUN], {}))
    assert (answer.status, answer.error["code"], answer.headers["connection"]) == (408, "request_timeout", "close")
    assert "0.05 s" in answer.error["message"]
    assert counted(metrics, method="POST", route="/", status="408") == 1


def test_an_answer_that_takes_too_long_is_a_504(log: Logs) -> None:
    answer = call(edge(slow, request_timeout_s=0.05)[0], "GET", "/")
    assert (answer.status, answer.error["code"]) == (504, "deadline_exceeded")


def test_an_answer_that_began_and_does_not_end_in_time_breaks_off_and_is_logged(log: Logs) -> None:
    async def stalls(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await asyncio.Event().wait()

    assert call(edge(stalls, request_timeout_s=0.01)[0], "GET", "/").body == b"half"
    assert [(line["event"], line["log_level"]) for line in log] == [
        ("the answer had begun and was not finished in time", "warning"),
        ("request", "info"),
    ]


def test_a_timeout_of_the_apps_own_is_an_unexpected_error_and_no_504(log: Logs) -> None:
    async def times_out(scope: Scope, receive: Receive, send: Send) -> None:
        raise TimeoutError

    assert call(edge(times_out)[0], "GET", "/").status == 500


def test_a_caller_who_leaves_amid_the_body_is_counted_as_499_and_no_error(log: Logs) -> None:
    app, metrics = edge(echo)
    leaves: list[Message] = [BEGUN, {"type": "http.disconnect"}]
    assert asyncio.run(exchange(app, "POST", "/", leaves, {})).status == 0
    assert counted(metrics, method="POST", route="/", status="499") == 1
    assert [(line["event"], line["status"]) for line in log] == [("request", 499)]


def test_over_capacity_is_a_503_with_retry_after_while_probes_are_answered(log: Logs) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (slow if scope["path"] == "/slow" else deaf)(scope, receive, send)

    capped, metrics = edge(app, max_concurrency=2)

    async def scenario() -> dict[str, Answer]:
        one: list[Message] = [{"type": "http.request", "body": b""}]
        busy = [asyncio.create_task(exchange(capped, "GET", "/slow", one, {})) for _ in range(2)]
        await asyncio.sleep(0)
        assert metrics.registry.get_sample_value("http_requests_in_flight") == 2
        answers = {
            path: await exchange(capped, "GET", path, one, {}) for path in ("/", "/health", "/ready", "/metrics")
        }
        busy.pop().cancel()
        await asyncio.sleep(0)
        answers["/later"] = await exchange(capped, "GET", "/later", one, {})
        busy.pop().cancel()
        return answers

    answers = asyncio.run(scenario())
    refusal = answers.pop("/")
    assert (refusal.status, refusal.error["code"], refusal.headers["retry-after"]) == (503, "over_capacity", "1")
    assert {answer.status for answer in answers.values()} == {200}


def test_a_body_over_the_cap_is_a_413_also_over_capacity(log: Logs) -> None:
    app, _ = edge(slow, max_concurrency=1, max_body_bytes=1)

    async def scenario() -> Answer:
        busy = asyncio.create_task(exchange(app, "GET", "/", [], {}))
        await asyncio.sleep(0)
        answer = await exchange(app, "POST", "/", [], {"content-length": "2"})
        busy.cancel()
        return answer

    assert asyncio.run(scenario()).status == 413


def test_a_lifespan_passes_the_edge_untouched(log: Logs) -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def nothing(*_: Any) -> Message:  # noqa: ANN401  # both a receive and a send
        return {}

    scope = {"type": "lifespan"}
    asyncio.run(edge(app)[0](scope, nothing, nothing))  # type: ignore[arg-type]
    assert seen == [scope]
    assert log == []


def test_limits_of_a_prefix_hold_below_it_and_nowhere_else(log: Logs) -> None:
    app, _ = edge(echo, max_body_bytes=5)
    app.allow("/files/", Limits(50, 1))
    assert call(app, "POST", "/files/a", b"x" * 50).status == 200
    assert (
        call(app, "POST", "/files/a", b"x" * 51).error["message"]
        == "The body has at least 51 bytes; at most 50 are taken."
    )
    assert call(app, "POST", "/files", b"x" * 6).status == 413


def test_a_time_of_a_prefix_holds_below_it_and_nowhere_else(log: Logs) -> None:
    app, _ = edge(slow, request_timeout_s=10)
    app.allow("/files/", Limits(50, 0.05))
    assert "not ready within 0.05 s" in call(app, "GET", "/files/a").error["message"]
