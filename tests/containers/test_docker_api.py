"""docker_api_pattern: its image predicts, and is released over SSH with a real engine, forth and back.

The engine is the same on both sides. systemd does not run here: a program of the pattern's tests starts what the unit
says (chapter3_release_patterns/docker_api_pattern/tests/standins/systemctl.py).
"""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from chapter3_release_patterns.docker_api_pattern.ssh import Ssh
from chapter3_release_patterns.docker_api_pattern.tests.machine import Machine
from mlsys.catalogue import ROOT
from mlsys.ports import free_port

from .stack import Stack, docker

pytestmark = pytest.mark.containers

NAME = "docker_api_pattern"


@pytest.fixture(scope="module", autouse=True)
def built() -> Iterator[None]:
    """The pattern's image, and no other under its name when the tests are over."""
    Stack(ROOT / "chapter3_release_patterns" / NAME).build()
    ours = docker("image", "inspect", "--format", "{{.Id}}", NAME).strip()
    yield
    docker("tag", ours, NAME)
    names = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", NAME).split()
    docker("image", "rm", *(name for name in names if name != f"{NAME}:latest"))


@pytest.fixture
def machine(tmp_path: Path, models: Path) -> Iterator[Machine]:
    """A machine that has the real engine."""
    machine = Machine(tmp_path, models, real_docker=True)
    yield machine
    machine.close()
    docker("rm", "--force", NAME, check=False)


def prediction(port: int) -> object:
    body = b'{"length": 5.1, "width": 2.4}'
    request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def tag() -> str:
    """Of the image that is called by the pattern's name now."""
    return docker("image", "inspect", "--format", "{{.Id}}", NAME).strip().removeprefix("sha256:")[:12]


def test_the_petal_of_the_talk_is_predicted_over_the_published_port() -> None:
    stack = Stack(ROOT / "chapter3_release_patterns" / NAME)
    try:
        stack.up()
        stack.wait_until_healthy()
        assert prediction(stack.port) == {"prediction": "virginica"}
    finally:
        stack.down()


def test_an_image_is_released_and_one_that_refuses_to_start_is_replaced_by_it(machine: Machine, tmp_path: Path) -> None:
    port, good = free_port(), tag()
    done = machine.deploy("--port", str(port), "--within", "60")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert prediction(port) == {"prediction": "virginica"}
    (running,) = json.loads(docker("inspect", NAME))
    assert running["Config"]["Image"] == f"{NAME}:{good}"
    limits = running["HostConfig"]
    assert (limits["ReadonlyRootfs"], limits["CapDrop"], limits["PidsLimit"]) == (True, ["ALL"], 128)
    assert limits["Memory"] == 512 * 1024**2

    docker("build", "--tag", NAME, "--file", str(broken(tmp_path, good)), str(tmp_path))
    done = machine.deploy("--port", str(port), "--within", "20")
    assert done.returncode == 1, done
    assert f"{NAME}:{good} runs again." in done.stdout
    assert prediction(port) == {"prediction": "virginica"}
    assert "Cannot start: Model /nowhere cannot be used" in (machine.root / "state/journal").read_text()


def test_what_the_engine_saves_is_loaded_at_the_other_end_of_the_line(machine: Machine, tmp_path: Path) -> None:
    image, file = f"{NAME}:0123456789ab", tmp_path / "image.tar"
    docker("tag", NAME, image)
    docker("save", "--output", str(file), image)
    docker("image", "rm", image)
    Ssh("vm", str(machine.config)).feed(["cat", str(file)], "docker load --quiet", within_s=300)
    assert docker("image", "inspect", "--format", "{{.Id}}", image) == docker(
        "image", "inspect", "--format", "{{.Id}}", NAME
    )
    docker("image", "rm", image)


def broken(folder: Path, good: str) -> Path:
    """A Dockerfile of an image whose process refuses to start."""
    file = folder / "Dockerfile"
    file.write_text(f"FROM {NAME}:{good}\nENV MODEL_PATH=/nowhere\n")
    return file
