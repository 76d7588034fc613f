"""Tests of containers need a Docker daemon, and are skipped where none answers."""

import shutil
import subprocess

import pytest


@pytest.fixture(scope="session", autouse=True)
def _daemon() -> None:
    if not shutil.which("docker"):
        pytest.skip("there is no docker program on this machine")
    asked = subprocess.run(["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True)
    if asked.returncode:
        pytest.skip(f"no Docker daemon answers: {asked.stderr.strip()}")
