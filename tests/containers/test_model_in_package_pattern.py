"""model_in_package_pattern in a container: its packages are those of `make build`, and a damaged one keeps it down."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from mlsys.catalogue import ROOT

from .stack import Stack, docker

pytestmark = pytest.mark.containers

PATTERN = ROOT / "chapter3_release_patterns" / "model_in_package_pattern"
VALIDATE = ["python", "-m", f"{PATTERN.parent.name}.{PATTERN.name}.validate"]
MODEL = "/site/mlsys_model_iris_svc/model.onnx"


@pytest.fixture(scope="module")
def image() -> str:
    """The pattern's image, built."""
    Stack(PATTERN).build()
    return PATTERN.name


def test_the_models_of_the_image_are_the_files_that_it_was_built_from(image: str) -> None:
    said = docker("run", "--rm", image, *VALIDATE)
    for name in ("iris_svc", "iris_rf"):
        sha256 = hashlib.sha256((ROOT / "models" / name / "model.onnx").read_bytes()).hexdigest()
        assert f"ok, sha256 {sha256}" in said


def test_a_damaged_package_keeps_the_container_from_starting_with_one_sentence(image: str, tmp_path: Path) -> None:
    damaged = tmp_path / "model.onnx"
    damaged.write_bytes((ROOT / "models" / "iris_svc" / "model.onnx").read_bytes() + b"\0")
    damaged.chmod(0o644)
    tmp_path.chmod(0o755)
    command = ["docker", "run", "--rm", "--volume", f"{damaged}:{MODEL}:ro", image]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 3
    sentences = [line for line in done.stderr.splitlines() if line.startswith("Cannot start: ")]
    assert len(sentences) == 1
    assert "Model package mlsys-model-iris-svc 1.1.1+iris.2026.11 in /site cannot be used: " in sentences[0]
    assert "Traceback" not in done.stderr
