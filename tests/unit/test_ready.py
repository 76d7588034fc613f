import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mlsys.ports import free_port
from mlsys.ready import curl_line, reason_not_ready


class Service(ThreadingHTTPServer):
    """A service that answers GET by what stands in `answers`."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, object]] = {}
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        status, body = self.server.answers.get(self.path, (404, "no such path"))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as service:
        thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield service
        service.shutdown()
        thread.join()


def posting(media: object) -> dict[str, object]:
    in_json: dict[str, object] = {"200": {"content": {"application/json": {}}}}
    return {"post": {"requestBody": {"content": {"application/json": media}}, "responses": in_json}}


def test_a_service_is_ready_when_ready_answers_200(service: Service) -> None:
    service.answers["/ready"] = (200, {})
    assert reason_not_ready(service.url) is None


def test_the_reason_says_what_was_answered(service: Service) -> None:
    service.answers["/ready"] = (503, "loading")
    assert reason_not_ready(service.url) == '/ready answered 503 "loading"'


def test_the_reason_says_that_nobody_answered() -> None:
    reason = reason_not_ready(f"http://127.0.0.1:{free_port()}")
    assert reason
    assert reason.startswith("ConnectionRefusedError: ")


def test_a_proxy_of_the_environment_is_not_asked(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    service.answers["/ready"] = (200, {})
    assert reason_not_ready(service.url) is None


@pytest.mark.parametrize(
    "media",
    [
        {"example": {"a": "it's"}},
        {"examples": {"first": {"value": {"a": "it's"}}, "second": {"value": 2}}},
    ],
)
def test_the_curl_line_posts_the_first_example_quoted_for_a_shell(service: Service, media: object) -> None:
    paths = {"/health": {"get": {}}, "/plain": posting({}), "/ask": posting(media), "/later": posting({"example": 1})}
    service.answers["/openapi.json"] = (200, {"paths": paths})
    expected = f"""curl -s {service.url}/ask -H 'Content-Type: application/json' -d '{{"a": "it'"'"'s"}}'"""
    assert curl_line(service.url) == expected


def test_a_post_that_is_answered_by_a_stream_is_passed_over(service: Service) -> None:
    stream = posting({"example": 1})
    stream["post"]["responses"] = {"200": {"content": {"text/event-stream": {}}}}  # type: ignore[index]
    service.answers["/openapi.json"] = (200, {"paths": {"/stream": stream, "/ask": posting({"example": 2})}})
    assert curl_line(service.url) == f"curl -s {service.url}/ask -H 'Content-Type: application/json' -d 2"


def test_without_an_example_the_curl_line_asks_for_the_declared_sample(service: Service) -> None:
    service.answers["/openapi.json"] = (200, {"paths": {"/ask": posting({}), "/predict/test": {"get": {}}}})
    assert curl_line(service.url) == f"curl -s {service.url}/predict/test"


def test_without_a_document_the_curl_line_asks_for_what_every_service_answers(service: Service) -> None:
    assert curl_line(service.url) == f"curl -s {service.url}/health"


def test_an_example_that_nobody_would_type_is_not_shown(service: Service) -> None:
    paths = {"/ask": posting({"example": "x" * 3000}), "/predict/test": {"get": {}}, "/v2": {"get": {}}}
    service.answers["/openapi.json"] = (200, {"paths": paths})
    assert curl_line(service.url) == f"curl -s {service.url}/predict/test"


def test_a_bare_model_server_is_asked_what_it_is(service: Service) -> None:
    service.answers["/openapi.json"] = (200, {"paths": {"/v2": {"get": {}}, "/v2/infer": posting({})}})
    assert curl_line(service.url) == f"curl -s {service.url}/v2"


def test_a_route_that_needs_a_token_is_not_suggested(service: Service) -> None:
    guarded = {"post": posting({"example": {"name": "x"}})["post"] | {"security": [{"bearer": []}]}}  # type: ignore[operator]
    health = {"get": {"tags": ["operation"]}}
    paths = {"/add": guarded, "/health": health, "/things/{id}": {"get": {}}, "/things": {"get": {}}}
    service.answers["/openapi.json"] = (200, {"paths": paths})
    assert curl_line(service.url) == f"curl -s {service.url}/things"
    service.answers["/openapi.json"] = (200, {"paths": {"/add": guarded, "/health": health}})
    assert curl_line(service.url) == f"curl -s {service.url}/health"
