"""A pattern's containers, as `make up` starts them, on a free port and under a name of their own."""

import json
import os
import re
import shutil
import subprocess
import uuid
from functools import cache
from pathlib import Path
from typing import Any

from mlsys.ports import free, free_port
from mlsys.testing import eventually

COMPOSE_FILE = "docker-compose.yml"


def docker(*arguments: str, check: bool = True) -> str:
    """What a docker command prints, both streams. Raises: AssertionError with that if it fails and `check` says so."""
    return _run(["docker", *arguments], check=check)


class Stack:
    """One Compose project. overrides: further Compose files; environment: variables that the files ask for."""

    def __init__(self, pattern: Path, *overrides: Path, **environment: str) -> None:
        self.port = free_port()
        self._pattern = pattern
        self._label = f"com.docker.compose.project={(project := f'test{uuid.uuid4().hex}')}"
        files = [argument for file in (pattern / COMPOSE_FILE, *overrides) for argument in ("-f", str(file))]
        self._compose = [*_compose_program(), "-p", project, *files]
        ports = {name: str(port) for name, port in free({"PORT", *_published(pattern)}).items()}
        self._environment = {**ports, **_secrets(pattern), "PORT": str(self.port), **environment}

    def up(self) -> None:
        """Start it, without building."""
        self._run("up", "-d", "--no-build")

    def build(self) -> None:
        """Build its images, as a person does: the Makefile may know more about that than the Compose file."""
        _run(["make", "-C", str(self._pattern), "build", f"COMPOSE={' '.join(_compose_program())}"])

    def down(self) -> None:
        """Remove all that it left."""
        self._run("down", "-v", "--timeout", "1")

    def containers(self) -> list[dict[str, Any]]:
        """Every container, also those that ended, as `docker inspect` describes it."""
        ids = docker("ps", "--all", "--quiet", "--filter", f"label={self._label}").split()
        found: list[dict[str, Any]] = json.loads(docker("inspect", *ids)) if ids else []
        return found

    def container(self, service: str) -> str:
        """The id of a service's one container."""
        (found,) = (c for c in self.containers() if c["Config"]["Labels"]["com.docker.compose.service"] == service)
        return str(found["Id"])

    def is_healthy(self) -> bool:
        """Whether all run, and those that have a health check pass it. Raises: AssertionError if one has failed.

        One that did its work and ended, as a migration does, is as good as healthy.
        """
        states = []
        for container in self.containers():
            state = container["State"]
            if state["Status"] == "exited":
                assert state["ExitCode"] == 0, docker("logs", container["Id"])
                continue
            states.append(state.get("Health", {"Status": "healthy"})["Status"] if state["Running"] else state["Status"])
        return set(states) == {"healthy"}

    def wait_until_healthy(self) -> None:
        """Raises: AssertionError if that takes more than a minute."""
        eventually(self.is_healthy, deadline_s=60, every_s=0.2)

    def _run(self, *arguments: str) -> None:
        _run([*self._compose, *arguments], self._environment)


def _run(command: list[str], environment: dict[str, str] | None = None, *, check: bool = True) -> str:
    result = subprocess.run(
        command,
        env=os.environ | (environment or {}),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert result.returncode == 0 or not check, f"{command}: {result.stdout}"
    return result.stdout


def _published(pattern: Path) -> list[str]:
    """The variables that choose on which ports the services are reached."""
    return re.findall(r"\$\{([A-Z_]*PORT):-\d+\}:", (pattern / COMPOSE_FILE).read_text())


def _secrets(pattern: Path) -> dict[str, str]:
    """A value for each variable that has no default, as `make up` gives them."""
    names = re.findall(r"\$\{([A-Z_]+):\?", (pattern / COMPOSE_FILE).read_text())
    return {name: uuid.uuid4().hex for name in names}


@cache
def _compose_program() -> list[str]:
    second = subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
    assert second or shutil.which("docker-compose"), "Docker is here and Compose is not: install docker-compose."
    return ["docker", "compose"] if second else ["docker-compose"]
