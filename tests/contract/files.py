"""What the files of a pattern say about its containers, as the contract tests read them."""

import importlib
import json
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlsys import catalogue
from mlsys.catalogue import ROOT, Entry
from mlsys.settings import Settings

PATTERNS = [entry.directory for entry in catalogue.patterns()]
STAND_INS = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "REDIS_URL": "redis://:nobody@127.0.0.1:1/0",
    "OPEN_WRITES": "true",
}
"""With these every app can be built, though not used: it connects to nothing before it serves."""
PROCESS_WIDE = {"TMPDIR", "TZ"}
"""Variables that a container may set though they are no settings. So are those of OpenTelemetry, OTEL_*."""

Yaml = dict[str, Any]


class Dockerfile:
    """One Dockerfile, as its instructions (name, argument) in order."""

    def __init__(self, path: Path) -> None:
        self.text = path.read_text()
        lines = (line for line in self.text.replace("\\\n", " ").splitlines() if line.strip() and line[0] != "#")
        self.instructions = [(name.upper(), rest) for name, _, rest in (line.partition(" ") for line in lines)]

    def all(self, name: str) -> list[str]:
        """The arguments of every instruction of that name."""
        return [argument for instruction, argument in self.instructions if instruction == name]

    @property
    def env(self) -> dict[str, str]:
        """What ENV sets."""
        return dict(word.split("=", 1) for argument in self.all("ENV") for word in shlex.split(argument))

    @property
    def user(self) -> int:
        """The numeric user that the process runs as. Raises: ValueError if it is not a number."""
        return int(self.all("USER")[-1].split(":")[0])

    @property
    def command(self) -> list[str]:
        """CMD in its exec form. Raises: ValueError if it is in another."""
        command: list[str] = json.loads(self.all("CMD")[-1])
        return command

    @property
    def sources(self) -> list[str]:
        """What COPY takes from the build context."""
        copies = [shlex.split(argument) for argument in self.all("COPY") if "--from=" not in argument]
        return [source for words in copies for source in words[:-1] if source[:2] != "--"]


@cache
def compose(pattern: Path) -> Yaml:
    """The pattern's Compose file."""
    document: Yaml = yaml.safe_load((pattern / "docker-compose.yml").read_text())
    return document


def built(pattern: Path) -> dict[str, Yaml]:
    """The services of the Compose file whose image is the pattern's own, by name."""
    return {name: service for name, service in compose(pattern)["services"].items() if "build" in service}


@cache
def dockerfile(pattern: Path, image: str) -> Dockerfile:
    """The Dockerfile from which Compose builds an image."""
    service = next(service for service in built(pattern).values() if service["image"] == image)
    return Dockerfile(pattern / service["build"]["context"] / service["build"]["dockerfile"])


@cache
def documents(pattern: Path) -> list[tuple[str, Yaml]]:
    """Every document of the pattern's manifests, with the name of its file."""
    files = sorted((pattern / "manifests").glob("*.yaml"))
    return [(file.name, document) for file in files for document in yaml.safe_load_all(file.read_text()) if document]


def of_kind(pattern: Path, *kinds: str) -> list[Yaml]:
    """The documents of the kinds."""
    return [document for _, document in documents(pattern) if document["kind"] in kinds]


def workloads(pattern: Path) -> list[tuple[Yaml, Yaml]]:
    """Every document that makes pods, with its pod template."""
    found = []
    for _, document in documents(pattern):
        spec = document.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            found.append((document, spec["template"]))
    return found


def containers(pattern: Path) -> list[Yaml]:
    """Every container of every workload, initialising ones included."""
    pods = [template["spec"] for _, template in workloads(pattern)]
    return [container for pod in pods for container in [*pod.get("initContainers", []), *pod["containers"]]]


def own_containers(pattern: Path) -> list[Yaml]:
    """The containers of the manifests that run the pattern's own images."""
    images = {service["image"] for service in built(pattern).values()}
    return [container for container in containers(pattern) if container["image"] in images]


def environment(container: Yaml) -> dict[str, str]:
    """Names and values (empty where they come from elsewhere) that a manifest's container or a Compose service sets."""
    if "environment" in container:
        values: dict[str, str] = container["environment"]
        return values
    return {variable["name"]: variable.get("value", "") for variable in container.get("env", [])}


def command(pattern: Path, container: Yaml) -> list[str]:
    """What a container runs: its own command, or its image's."""
    found: list[str] = (
        container.get("args") or container.get("command") or dockerfile(pattern, container["image"]).command
    )
    return found


def modules(path: Path) -> set[str]:
    """The modules that the processes of an image are started with, in Compose and in the manifests."""
    services = built(path.parent).values()
    images = {service["image"] for service in services if service["build"]["dockerfile"].endswith(path.name)}
    own = [*services, *own_containers(path.parent)]
    commands = [command(path.parent, container) for container in own if container["image"] in images]
    words = {word for words in commands for word in words}
    return {word.partition(":")[0] for word in words if re.fullmatch(r"(mlsys|chapter\w+)(\.\w+)+(:\w+)?", word)}


def settings(pattern: Path, container: Yaml) -> type[Settings]:
    """The Settings of a container's process: the model server's or the pattern's."""
    bare = "mlsys.server" in command(pattern, container)
    module = "mlsys.server.settings" if bare else Entry(ROOT, pattern).settings
    found: type[Settings] = importlib.import_module(module).Settings
    return found


def unknown_variables(pattern: Path, container: Yaml) -> set[str]:
    """The variables set for a container that nothing reads."""
    values = environment(container)
    known = {name.upper() for name in settings(pattern, container).model_fields} | PROCESS_WIDE
    known |= {name for value in values.values() for name in re.findall(r"\$\((\w+)\)", value)}  # parts of others
    return {name for name in values if name not in known and not name.startswith("OTEL_")}


def setting(pattern: Path, container: Yaml, name: str) -> str:
    """The value that a process in the container finds: what the container sets, else the image, else the default."""
    image = dockerfile(pattern, container["image"]).env
    default = settings(pattern, container).model_fields[name.lower()].default
    return environment(container).get(name) or image.get(name) or str(default)


def ports(pattern: Path, container: Yaml) -> set[str]:
    """The ports that a container's process listens on."""
    fields = settings(pattern, container).model_fields
    return {setting(pattern, container, name.upper()) for name in ("port", "grpc_port") if name in fields}


def routes(pattern: Path, container: Yaml) -> set[str]:
    """The paths that a container's process answers to GET, by its OpenAPI document; none if it is no server.

    The app is built, so its model must be found from the working directory, as in an image.
    """
    words = command(pattern, container)
    if "mlsys.server" in words:
        return _routes("mlsys.server.app:create_app", setting(pattern, container, "MODELS"))
    target = next((word for word in words if re.fullmatch(r"chapter\w+(\.\w+)+:\w+", word)), None)
    return _routes(target, "") if target else set()


@cache
def _routes(target: str, models: str) -> set[str]:
    module, _, factory = target.partition(":")
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {**STAND_INS, "MODELS": models}.items():
            environment.setenv(name, value)
        app = getattr(importlib.import_module(module), factory)()
    return {path for path, operations in app.openapi()["paths"].items() if "get" in operations}
