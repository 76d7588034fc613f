"""model_db in containers: it migrates first, keeps what it was given, and outlives its database."""

import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlsys.catalogue import ROOT
from mlsys.testing import eventually

from .stack import Stack, docker

pytestmark = pytest.mark.containers

PATTERN = ROOT / "chapter2_training" / "model_db"
TOKEN = "a-token-of-this-test"  # noqa: S105  # of a registry that lives as long as the test
WHO = {"who": "ada", "why": "first"}


@pytest.fixture
def start() -> Iterator[Callable[[], Stack]]:
    """`start()` builds and starts the pattern's containers and waits; the test's end removes them."""
    started: list[Stack] = []

    def start() -> Stack:
        started.append(Stack(PATTERN, REGISTRY_TOKEN=TOKEN))
        started[-1].build()
        started[-1].up()
        started[-1].wait_until_healthy()
        return started[-1]

    yield start
    for stack in started:
        stack.down()


def ask(stack: Stack, method: str, path: str, body: object = None, token: str = TOKEN) -> tuple[int, Any]:
    """Status and JSON of an answer; `body` is bytes, or becomes JSON."""
    kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": kind, "Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"http://127.0.0.1:{stack.port}{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def registered(stack: Stack, file: Path) -> tuple[str, str]:
    """Upload the file, and register and promote it as a first version. The ids of model and version."""
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    assert ask(stack, "PUT", f"/v1/api/artefacts/{digest}", content)[0] == 201
    project = ask(stack, "POST", "/v1/api/projects", {"project_name": "iris", "description": ""})[1]["project_id"]
    model = {"project_id": project, "model_name": "svc", "description": ""}
    model_id = ask(stack, "POST", "/v1/api/models", model)[1]["model_id"]
    status, version = ask(
        stack, "POST", f"/v1/api/models/{model_id}/versions", {"name": "1.0.0-iris.1", "sha256": digest}
    )
    assert status == 201, version
    status, promotion = ask(
        stack, "POST", f"/v1/api/models/{model_id}/aliases/champion", {"version": version["id"], **WHO}
    )
    assert status == 201, promotion
    return model_id, version["id"]


def champion(stack: Stack, model_id: str) -> Any:  # noqa: ANN401  # a version, or an error
    return ask(stack, "GET", f"/v1/api/models/{model_id}/aliases/champion")[1]


def test_a_model_is_registered_and_promoted_and_everything_outlives_new_containers(
    start: Callable[[], Stack], models: Path
) -> None:
    stack = start()
    model_id, version_id = registered(stack, models / "iris_svc" / "model.onnx")
    assert champion(stack, model_id)["id"] == version_id
    with urllib.request.urlopen(f"http://127.0.0.1:{stack.port}/models/svc", timeout=10) as page:
        assert b"1.0.0-iris.1" in page.read()

    docker("rm", "--force", stack.container("api"), stack.container("postgres"))
    stack.up()

    stack.wait_until_healthy()
    kept = champion(stack, model_id)
    assert kept["id"] == version_id
    with urllib.request.urlopen(f"http://127.0.0.1:{stack.port}/v1/api/artefacts/{kept['sha256']}", timeout=10) as file:
        assert hashlib.sha256(file.read()).hexdigest() == kept["sha256"]


def test_while_the_database_restarts_callers_are_told_to_come_again_and_then_served(
    start: Callable[[], Stack], models: Path
) -> None:
    stack = start()
    model_id, version_id = registered(stack, models / "iris_svc" / "model.onnx")
    docker("stop", stack.container("postgres"))
    status, answer = ask(stack, "GET", f"/v1/api/models/{model_id}/aliases")
    assert (status, answer["error"]["code"]) == (503, "not_ready")
    docker("start", stack.container("postgres"))
    eventually(lambda: champion(stack, model_id).get("id") == version_id, deadline_s=60, every_s=0.2)


def test_without_the_token_nothing_is_written(start: Callable[[], Stack]) -> None:
    stack = start()
    project = {"project_name": "iris", "description": ""}
    assert ask(stack, "POST", "/v1/api/projects", project, "another")[0] == 401
    assert ask(stack, "GET", "/v1/api/projects/all") == (200, [])


def test_the_database_is_reached_by_the_service_alone(start: Callable[[], Stack]) -> None:
    stack = start()
    (database,) = (c for c in stack.containers() if c["Id"] == stack.container("postgres"))
    assert not any(database["NetworkSettings"]["Ports"].values())
