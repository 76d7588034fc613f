"""model_in_image_pattern in a container: the image knows its model, is not built with another, and serves no other."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlsys.catalogue import ROOT

from .stack import Stack, docker

pytestmark = pytest.mark.containers

PATTERN = ROOT / "chapter3_release_patterns" / "model_in_image_pattern"
NAME = PATTERN.name
DOCKERFILE = str(PATTERN / "Dockerfile")
MODEL = ROOT / "models" / "iris_svc" / "model.onnx"


def digest(path: Path) -> str:
    """As a person computes it."""
    return subprocess.check_output(["sha256sum", str(path)], text=True).split()[0]


def build(tag: str, *arguments: str, check: bool = True) -> str:
    """`docker build` by hand, without Compose and make."""
    return docker("build", "--force-rm", "--tag", tag, "--file", DOCKERFILE, *arguments, str(ROOT), check=check)


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """The image, built with the digest of its model."""
    tag = "test-model-in-image"
    build(tag, "--build-arg", f"MODEL_SHA256={digest(MODEL)}")
    yield tag
    docker("image", "rm", tag)


def test_labels_and_environment_name_the_model_and_its_digest(image: str) -> None:
    config = json.loads(docker("image", "inspect", image))[0]["Config"]
    assert config["Labels"]["mlsys.model.name"] == "iris_svc"
    assert config["Labels"]["mlsys.model.sha256"] == digest(MODEL)
    assert config["Labels"]["org.opencontainers.image.version"] == digest(MODEL)
    assert f"MODEL_SHA256={digest(MODEL)}" in config["Env"]


def test_the_model_is_the_last_layer_that_is_not_empty_and_is_as_large_as_the_model(image: str) -> None:
    history = docker("history", "--no-trunc", "--human=false", "--format", "{{.Size}} {{.CreatedBy}}", image)
    sizes = [(int(line.split()[0]), line) for line in history.splitlines()]
    size, line = next(layer for layer in sizes if layer[0])
    assert size == MODEL.stat().st_size
    assert "models/iris_svc" in line


@pytest.mark.parametrize("given", ["", "0" * 64, "22d401aeed36"], ids=["none", "another", "short"])
def test_an_image_is_not_built_without_the_digest_of_its_model(given: str) -> None:
    arguments = ["--build-arg", f"MODEL_SHA256={given}"] if given else []
    said = build("test-never-built", *arguments, check=False)
    assert "Cannot start: " in said
    assert "Traceback" not in said
    assert "No such image" in docker("image", "inspect", "test-never-built", check=False)


def test_another_model_mounted_over_the_images_own_is_refused_with_one_sentence(
    image: str, models: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes((models / "iris_rf" / "model.onnx").read_bytes())
    (tmp_path / "model.onnx").chmod(0o644)
    tmp_path.chmod(0o755)
    said = docker("run", "--rm", "--volume", f"{tmp_path}:/app/models/iris_svc:ro", image, check=False)
    refusals = [line for line in said.splitlines() if line.startswith("Cannot start: ")]
    assert len(refusals) == 1
    assert digest(MODEL) in refusals[0]
    assert digest(models / "iris_rf" / "model.onnx") in refusals[0]


@pytest.mark.parametrize("given", ["", "0" * 64], ids=["empty", "another"])
def test_the_digest_cannot_be_taken_away_by_an_empty_variable(image: str, given: str) -> None:
    assert "Cannot start: " in docker("run", "--rm", "--env", f"MODEL_SHA256={given}", image, check=False)


def test_a_stack_built_as_a_person_builds_it_says_who_it_is() -> None:
    stack = Stack(PATTERN)
    try:
        stack.build()
        stack.up()
        stack.wait_until_healthy()
        with urllib.request.urlopen(f"http://127.0.0.1:{stack.port}/metadata", timeout=10) as response:
            described = json.load(response)
        (container,) = stack.containers()
        logged = [json.loads(line) for line in docker("logs", container["Id"]).splitlines()]
    finally:
        stack.down()
    assert described["model"] == {"name": "iris_svc", "sha256": digest(MODEL)}
    assert described["image"] == {"model_sha256": digest(MODEL)}
    assert [line["sha256"] for line in logged if line["event"] == "serving"] == [digest(MODEL)]
