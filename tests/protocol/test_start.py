"""What the server refuses to start with: one sentence that names it, and an exit code."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mlsys.catalogue import ROOT
from mlsys.ports import free_port

from . import networks as build

pytestmark = pytest.mark.e2e


def start(*arguments: object, **environment: str) -> tuple[int, str]:
    """The exit code of a server that is not expected to run, and the last line that it says."""
    ports = {"PORT": str(free_port()), "GRPC_PORT": str(free_port())}
    command = [sys.executable, "-m", "mlsys.server", *map(str, arguments)]
    variables = {"PYTHONPATH": str(ROOT)} | ports | environment
    ended = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=30, check=False)
    said = ended.stdout + ended.stderr
    assert "Traceback" not in said
    return ended.returncode, said.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two models."""
    folder = tmp_path_factory.mktemp("two")
    for name, scale in (("adder", 1), ("tenfold", 10)):
        build.write(folder / name, build.adder(scale))
    return folder


def test_a_check_says_nothing_against_what_is_right_and_opens_no_port(two: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert start("--models", two, "--http", taken.getsockname()[1], "--check")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--models", "{two}/nothing"], "{two}/nothing"),
        (["--models", "{two}", "{two}/adder"], "adder"),
        (["--models", "{two}", "--http", "0"], "PORT"),
        (["--models", "{two}", "--grpc", "70000"], "GRPC_PORT"),
        (["--models", "{two}", "--max-batch", "0"], "MAX_BATCH"),
        (["--models", "{two}", "--model-option", "adder"], "adder"),
        (["--models", "{two}", "--model-option", "adder.max_batch=many"], "many"),
        (["--models", "{two}", "--model-option", "adder.speed=9"], "SPEED"),
        (["--models", "{two}", "--model-option", "nobody.max_batch=2"], "nobody"),
        (["--models", "{two}", "--nonsense"], "nonsense"),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, list) else "",
)
def test_a_wrong_option_is_named(two: Path, arguments: list[str], named: str) -> None:
    code, said = start(*(each.format(two=two) for each in arguments))
    assert code != 0
    assert named.format(two=two) in said


def test_a_wrong_variable_is_named(two: Path) -> None:
    code, said = start(MODELS=str(two), MAX_QUEUE="-1")
    assert code != 0
    assert "MAX_QUEUE='-1'" in said


@pytest.mark.parametrize("option", ["--http", "--grpc"])
def test_a_taken_port_is_named(two: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = start("--models", two, option, port)
    assert code != 0
    assert str(port) in said


def test_a_model_that_cannot_be_used_is_named_with_the_reason(two: Path, tmp_path: Path) -> None:
    (tmp_path / "spoilt").mkdir()
    (tmp_path / "spoilt" / "model.onnx").write_bytes((two / "adder" / "model.onnx").read_bytes()[:100])
    code, said = start("--models", two, tmp_path)
    assert code != 0
    assert "spoilt" in said
