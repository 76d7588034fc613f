"""Every pattern that serves: the routes all have, an OpenAPI document that says all, and bad input that stays a 4xx."""

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlsys import catalogue
from mlsys.app import Service
from mlsys.catalogue import Entry
from mlsys.testing import call

PATTERNS = [entry for entry in catalogue.patterns() if (entry.directory / "app.py").exists()]
BAD_BODIES = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"NaN",
    b'{"data": "x"}',
    b"\xff",
    b"[" * 100_000,
    b'{"unknown": 1}',
    b"1e400",
]


@pytest.fixture(params=PATTERNS, ids=lambda entry: entry.name)
def service(request: pytest.FixtureRequest, models: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Each pattern's app with its defaults."""
    entry: Entry = request.param
    monkeypatch.chdir(models.parent)  # defaults name models by a relative path
    yield importlib.import_module(f"{entry.module}.app").create_app()


def operations(service: Service) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, methods in service.openapi()["paths"].items()
        for method, operation in methods.items()
    ]


def test_a_service_answers_for_its_health_readiness_and_metrics(service: Service) -> None:
    assert call(service, "GET", "/health").json == {"health": "ok"}
    assert call(service, "GET", "/ready").status == 200
    assert "http_requests_total" in call(service, "GET", "/metrics").body.decode()


def test_every_operation_is_described_with_examples(service: Service) -> None:
    for method, path, operation in operations(service):
        assert operation["summary"], (method, path)
        for described in [operation["responses"]["200"], operation.get("requestBody", {"content": {}})]:
            for media_type, content in described["content"].items():
                assert "example" in content, (method, path, media_type)


def test_the_example_of_every_operation_works(service: Service) -> None:
    for method, path, operation in operations(service):
        if "requestBody" in operation:
            example = operation["requestBody"]["content"]["application/json"]["example"]
            response = call(service, method.upper(), path, json.dumps(example).encode())
            assert response.status < 300, (method, path, response.body)


def test_bad_bodies_are_refused_in_the_error_envelope(service: Service) -> None:
    for method, path, operation in operations(service):
        for body in BAD_BODIES if "requestBody" in operation else []:
            response = call(service, method.upper(), path, body)
            assert 400 <= response.status < 500, (path, body[:20], response.body)
            assert response.error["message"]


def test_an_unknown_path_and_a_wrong_method_are_refused_in_the_error_envelope(service: Service) -> None:
    assert call(service, "GET", "/no/such/path").error["code"] == "not_found"
    wrong = call(service, "DELETE", "/health")
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET")
    assert wrong.error["code"] == "method_not_allowed"
