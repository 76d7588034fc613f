"""model_load_pattern in containers: no model in the image, the alias names the first one, and the next by itself."""

import json
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from mlsys import iris
from mlsys.catalogue import ROOT
from mlsys.ports import free_port
from mlsys.registry import Registry
from mlsys.testing import eventually

from .stack import Stack, docker

pytestmark = pytest.mark.containers

PATTERN = ROOT / "chapter3_release_patterns" / "model_load_pattern"
SAID = {"who": "a test", "why": "to see it"}


@pytest.fixture(scope="module")
def token() -> str:
    return uuid.uuid4().hex


@pytest.fixture(scope="module")
def registry_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def stack(token: str, registry_port: int) -> Iterator[Stack]:
    stack = Stack(PATTERN, REGISTRY_TOKEN=token, REGISTRY_PORT=str(registry_port), POLL_S="0.5")
    stack.build()
    try:
        stack.up()
        stack.wait_until_healthy()
        yield stack
    finally:
        stack.down()


def answered_by(stack: Stack) -> str:
    """Which model answers a flower."""
    body = json.dumps({"data": iris.SAMPLE}).encode()
    url = f"http://127.0.0.1:{stack.port}/predict"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return str(response.headers["x-model-sha256"])


def test_the_image_carries_no_model() -> None:
    # ONNX Runtime ships three small samples elsewhere.
    assert docker("run", "--rm", "model_load_pattern", "find", "/app", "/models", "-name", "*.onnx") == ""


def test_the_model_follows_the_alias_of_the_registry_there_and_back(
    stack: Stack, models: Path, token: str, registry_port: int
) -> None:
    registry = Registry(f"http://127.0.0.1:{registry_port}", SecretStr(token))
    champion = registry.alias("iris_svc", "champion")
    assert answered_by(stack) == champion.sha256
    sha256 = registry.upload(models / "iris_rf" / "model.onnx")
    registry.register(champion.model_id, "1.1.0-iris.0", sha256)
    registry.promote(champion.model_id, "champion", "1.1.0-iris.0", override_reason="a test", **SAID)
    eventually(lambda: answered_by(stack) == sha256, deadline_s=20)
    registry.rollback(champion.model_id, "champion", **SAID)
    eventually(lambda: answered_by(stack) == champion.sha256, deadline_s=20)
