"""What nobody should send: refused by a 4xx that says why, with nothing kept and nothing lost."""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from chapter2_training.model_db.tests.conftest import TOKEN, Caller
from mlsys.testing import call, exchange

BAD_NAMES = [
    "",
    "a/b",
    "../x",
    "..",
    "ünï",
    "a b",
    "a\0",
    "x" * 129,
    "n" * 10_000,
    "'; DROP TABLE models; --",
    "-a",
    "a\n",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_is_none_is_refused_by_a_4xx_wherever_it_comes(module_registry: Caller, name: str) -> None:
    made = module_registry("POST", "/projects", {"project_name": name})
    assert (made.status, made.error["code"]) == (422, "invalid_input")
    for path in ("/projects/name/{}", "/models/id/{}", "/models/name/{}/aliases/champion", "/versions/{}"):
        answer = asyncio.run(exchange(module_registry.app, "GET", f"/v1/api{path.format(name)}", [whole()], {}))
        assert answer.status in (404, 422), (path, answer.body)
        assert answer.error["message"]
    assert module_registry.get(f"/projects/all?name_contains={quote(name)}").status in (200, 422)


def whole(body: bytes = b"") -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": False}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"project_name": "iris"', 400),
        (b"\xff", 400),
        (b"NaN", 400),
        (b'{"project_name": "iris", "description": NaN}', 400),
        (b'{"project_name": "iris", "description": "\\ud800"}', 400),
        (b"[" * 60_000, 400),
        (b"", 422),
        (b"null", 422),
        (b"[]", 422),
        (b'{"project_name": "iris", "unknown": 1}', 422),
        (b'{"project_name": 5}', 422),
        (b'{"project_name": "iris", "description": null}', 422),
        (b'{"project_name": "iris", "description": "\\u0000"}', 422),
        (json.dumps({"project_name": "iris", "description": "x" * 10_001}).encode(), 422),
        (b'{"project_name": "iris", "\\u0000": 1}', 422),
        (b'{"description": "' + b"x" * 70_000 + b'"}', 413),
    ],
)
def test_a_body_that_is_wrong_is_refused_and_nothing_is_kept(module_registry: Caller, body: bytes, status: int) -> None:
    answer = module_registry("POST", "/projects", body)
    assert answer.status == status, answer.body
    assert answer.error["message"]
    assert module_registry.get("/projects/all").json == []


def test_a_body_that_is_not_declared_as_json_is_a_415(module_registry: Caller) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "text/plain"}
    assert call(module_registry.app, "POST", "/v1/api/projects", b"{}", headers).status == 415


DOCUMENTS = [
    b'{"a": 1e999}',
    b'{"a": NaN}',
    b'{"a": 1' + b"0" * 400 + b"}",
    b'{"a": "\\u0000"}',
    b'{"\\u0000": 1}',
    b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}",
    b'{"a": ' + b'{"a": ' * 3000 + b"1" + b"}" * 3001,
    b"[1]",
    b'{"a": [' + b"1," * 12_000 + b"1]}",
]


def test_a_document_that_cannot_be_kept_is_refused_and_the_old_one_stays(registry: Caller) -> None:
    model = registry.model()
    version = registry.version(model)["id"]
    run = registry.made("/experiments", {"model_id": model, "evaluations": {"kept": 1}})["experiment_id"]
    for document in DOCUMENTS:
        for path, field in (
            (f"/experiments/evaluations/{run}", "evaluations"),
            (f"/versions/{version}/metrics", "metrics"),
        ):
            answer = registry("POST", path, b'{"%s": %s}' % (field.encode(), document))
            assert answer.status in (400, 422), (document[:40], answer.body[:200])
    assert registry.get(f"/experiments/id/{run}").json["evaluations"] == {"kept": 1}


def test_of_a_key_that_is_sent_twice_the_last_counts(registry: Caller) -> None:
    made = registry.made("/projects", b'{"project_name": "first", "project_name": "last"}')
    assert made["project_name"] == "last"


QUERIES = ["", "%00", "%27%3B%20DROP%20TABLE%20models%3B", "%FF", "x" * 10_000, "-1", "1e999", "../..", "%F0%9F%8C%B8"]


def test_no_value_in_any_parameter_of_a_query_is_a_5xx(registry: Caller) -> None:
    model = registry.model()
    registry.promote(model, registry.version(model)["name"])
    lists = ("/projects/all", "/models/project-name/iris", f"/models/{model}/versions", "/experiments/all")
    asked: dict[str, tuple[str, ...]] = dict.fromkeys(
        lists, ("limit", "after", "order", "name_contains", "sha256", "data_sha256")
    )
    asked[f"/models/{model}/promotions"] = ("limit", "after", "alias")
    asked[f"/models/{model}/aliases/champion"] = ("at",)
    asked["/compare"] = ("left", "right")
    for path, parameters in asked.items():
        for parameter in parameters:
            for value in QUERIES:
                assert registry.get(f"{path}?{parameter}={value}").status < 500, (path, parameter, value[:40])
    for at in ("0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00", "1e300", "-1e300", "0"):
        assert registry.get(f"/models/{model}/aliases/champion?at={at}").status < 500, at


def test_no_value_in_any_field_of_any_operation_is_a_5xx(registry: Caller) -> None:
    places = things(registry)
    answered: list[int] = []

    async def ask_all() -> None:
        headers = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"}
        for method, path, body in wrong_requests(registry, places):
            answer = await exchange(registry.app, method, path, [whole(body)], headers)
            assert answer.status < 500, (method, path, body[:100], answer.body)
            answered.append(answer.status)

    asyncio.run(ask_all())
    assert len(answered) > 200
    assert answered.count(422) > 100


VALUES: list[Any] = [
    None,
    True,
    -1,
    10**30,
    1e308,
    "",
    "a/../b",
    "'; DROP TABLE models; --",
    "\0",
    "é" * 10_001,
    [],
    {},
    [{}],
    {"": "\0"},
]


def things(registry: Caller) -> dict[str, str]:
    """One of each, by the name of the parameter that names it."""
    model = registry.model()
    version = registry.version(model)
    return {
        "project_id": registry.get("/projects/name/iris").json["project_id"],
        "project_name": "iris",
        "model_id": model,
        "model_name": "iris_svc",
        "version_id": version["id"],
        "version_name": version["name"],
        "experiment_id": registry.made("/experiments", {"model_id": model})["experiment_id"],
        "alias": "champion",
    }


def wrong_requests(registry: Caller, places: dict[str, str]) -> Iterator[tuple[str, str, bytes]]:
    """The example of each operation, with one field after the other spoiled by one value after the other."""
    for template, methods in registry.app.openapi()["paths"].items():
        path = re.sub(r"\{(\w+)\}", lambda found: places.get(found[1], "x"), template)
        for method, operation in methods.items():
            content = operation.get("requestBody", {"content": {}})["content"].get("application/json", {})
            example = {field: places.get(field, value) for field, value in content.get("example", {}).items()}
            for field in example:
                for value in VALUES:
                    yield method.upper(), path, json.dumps({**example, field: value}).encode()
