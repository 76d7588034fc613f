"""Every pattern that serves: the routes all have, an OpenAPI document that says all, and bad input that stays a 4xx."""

import importlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mlsys import catalogue, folder
from mlsys.app import Service
from mlsys.catalogue import Entry
from mlsys.testing import Answer, call
from tests.running import Running

from .files import STAND_INS

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


class Subject(NamedTuple):
    """A pattern's service: its OpenAPI document, and a way to ask it (method, path, JSON body)."""

    document: dict[str, Any]
    ask: Callable[[str, str, bytes], Answer]

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Method, path (its parameters being their examples) and description of each operation."""
        for template, methods in self.document["paths"].items():
            for method, operation in methods.items():
                path = template
                for parameter in operation.get("parameters", []):
                    given = parameter.get("example", parameter["schema"].get("examples", [None])[0])
                    path = path.replace(f"{{{parameter['name']}}}", str(given))
                yield method.upper(), path, operation


@pytest.fixture(scope="module", params=PATTERNS, ids=lambda entry: entry.name)
def service(
    request: pytest.FixtureRequest, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Subject]:
    """Each pattern's app with its defaults, in this process; started with all that it needs where it is not alone."""
    entry: Entry = request.param
    with pytest.MonkeyPatch.context() as place:
        place.chdir(models.parent)  # defaults name models by a relative path
        for name, value in STAND_INS.items():
            place.setenv(name, value)
        app: Service = importlib.import_module(f"{entry.module}.app").create_app()
        document = app.openapi()
        if len(folder.commands(entry.directory)) == 1:
            yield Subject(document, partial(call, app))
            return
    log = tmp_path_factory.mktemp("pattern") / "run.log"
    with Running.ready(entry.directory, log, OPEN_WRITES="true") as run:
        yield Subject(document, run.ask)


def test_a_service_answers_for_its_health_readiness_and_metrics(service: Subject) -> None:
    assert service.ask("GET", "/health", b"").json == {"health": "ok"}
    assert service.ask("GET", "/ready", b"").status == 200
    assert "http_requests_total" in service.ask("GET", "/metrics", b"").body.decode()


def test_every_operation_is_described_with_examples(service: Subject) -> None:
    for method, path, operation in service.operations():
        assert operation["summary"], (method, path)
        answers = [about for status, about in operation["responses"].items() if status.startswith("2")]
        assert answers, (method, path)
        for described in [*answers, operation.get("requestBody", {})]:
            for media_type, content in described.get("content", {}).items():
                assert "example" in content, (method, path, media_type)


def test_the_example_of_every_operation_works(service: Subject) -> None:
    for method, path, operation in service.operations():
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" in content:
            response = service.ask(method, path, json.dumps(content["application/json"]["example"]).encode())
            if response.status in (404, 409):  # it names something that is not there, or that the last run has made
                assert response.error["message"], (method, path)
            else:
                assert response.status < 300, (method, path, response.body)


def test_bad_bodies_are_refused_in_the_error_envelope_or_the_protocols_form(service: Subject) -> None:
    for method, path, operation in service.operations():
        for body in BAD_BODIES if "requestBody" in operation else []:
            response = service.ask(method, path, body)
            assert 400 <= response.status < 500, (path, body[:20], response.body)
            assert response.json["error"] if path.startswith("/v2") else response.error["message"]


def test_an_unknown_path_and_a_wrong_method_are_refused_in_the_error_envelope(service: Subject) -> None:
    assert service.ask("GET", "/no/such/path", b"").error["code"] == "not_found"
    wrong = service.ask("DELETE", "/health", b"")
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET")
    assert wrong.error["code"] == "method_not_allowed"
