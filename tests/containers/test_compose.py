"""Every pattern's images, built and started by Compose."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlsys import catalogue
from mlsys.catalogue import ROOT
from tests.contract import files
from tests.contract.test_containers import let_through

from .stack import Stack, docker

pytestmark = pytest.mark.containers

LARGEST = {"packages": 220_000_000, "inference": 85_000_000, "database": 60_000_000, "redis": 10_000_000}
"""Bytes that an image may have over its base for each category of packages that it installs."""
PATTERNS = [entry.directory for entry in catalogue.patterns()]


@pytest.fixture(scope="module", params=PATTERNS, ids=lambda pattern: pattern.name)
def pattern(request: pytest.FixtureRequest) -> Path:
    """A pattern's folder, its images built."""
    folder: Path = request.param
    Stack(folder).build()
    return folder


@pytest.fixture(scope="module")
def stack(pattern: Path) -> Iterator[Stack]:
    """The pattern's containers, healthy."""
    stack = Stack(pattern)
    try:
        stack.up()
        stack.wait_until_healthy()
        yield stack
    finally:
        stack.down()


def own(pattern: Path, stack: Stack) -> dict[str, str]:
    """The containers that run now, of the pattern's own images: id to image."""
    images = {service["image"] for service in files.built(pattern).values()}
    running = [container for container in stack.containers() if container["State"]["Running"]]
    found = {container["Id"]: container["Config"]["Image"] for container in running}
    return {name: image for name, image in found.items() if image in images}


def test_an_image_is_not_much_larger_than_its_base(pattern: Path) -> None:
    for service in files.built(pattern).values():
        dockerfile = files.dockerfile(pattern, service["image"])
        base = dockerfile.all("FROM")[-1]
        largest = sum(size for category, size in LARGEST.items() if f"{category}.txt" in dockerfile.text)
        sizes = [int(docker("image", "inspect", "--format", "{{.Size}}", name)) for name in (service["image"], base)]
        assert sizes[0] - sizes[1] <= largest, service["image"]


def test_processes_run_as_the_images_user_without_capabilities_and_cannot_gain_any(pattern: Path, stack: Stack) -> None:
    for container, image in own(pattern, stack).items():
        status = docker("exec", container, "cat", "/proc/1/status")
        user = files.dockerfile(pattern, image).user
        assert re.search(rf"^Uid:\s+{user}\s+{user}\s", status, re.MULTILINE)
        assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)


def test_the_root_file_system_cannot_be_written(pattern: Path, stack: Stack) -> None:
    for container in own(pattern, stack):
        assert "Read-only file system" in docker("exec", container, "touch", "/app/x", check=False)


def test_everything_in_an_image_can_be_read_by_its_user(pattern: Path, stack: Stack) -> None:
    for container in own(pattern, stack):
        assert docker("exec", container, "find", "/app", "!", "-readable") == ""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_containers_stop_within_their_grace_and_without_an_error(pattern: Path, workers: str) -> None:
    stack = Stack(pattern, WORKERS=workers)
    try:
        stack.up()
        stack.wait_until_healthy()
        containers = own(pattern, stack)
        began = time.monotonic()
        docker("stop", *containers)
        took = time.monotonic() - began
        states = {c["Id"]: c["State"]["ExitCode"] for c in stack.containers() if c["Id"] in containers}
    finally:
        stack.down()
    assert set(states.values()) == {0}
    assert took < min(int(service["stop_grace_period"][:-1]) for service in files.built(pattern).values())


def test_a_build_gets_what_dockerignore_lets_through_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python:3.11-slim\nCOPY . /context\n")
    tag = "test-build-context"
    docker("build", "--no-cache", "--tag", tag, "--file", str(tmp_path / "Dockerfile"), str(ROOT))
    try:
        listing = docker("run", "--rm", tag, "find", "/context", "-type", "f", "-printf", "%P\n")
    finally:
        docker("image", "rm", tag)
    sent = set(listing.split())
    tops = [path for path in ROOT.iterdir() if path.name != ".venv" and path.is_dir()]
    expected = {str(f.relative_to(ROOT)) for top in tops for f in top.rglob("*") if f.is_file()}
    assert sent == {file for file in expected if let_through(file)}
