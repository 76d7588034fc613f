"""The way of the model-in-image pattern, where a Docker engine answers: a layer of model over a base that is there."""

import json
import shutil
import subprocess
import urllib.request
from contextlib import suppress
from pathlib import Path

from .ways import DEADLINE_S, Edition, run

_TYPES = ", ".join(
    f"application/vnd.{kind}.v{version}+json"
    for kind, version in (("oci.image.manifest", 1), ("docker.distribution.manifest", 2))
)


def missing() -> str | None:
    """Why there are no images here, in a sentence; None if an engine answers."""
    if not shutil.which("docker"):
        return "There is no docker program on this machine, so the image is not in the table."
    asked = subprocess.run(["docker", "version"], capture_output=True, text=True, check=False, timeout=60)
    return "No Docker engine answers on this machine, so the image is not in the table." if asked.returncode else None


class Image:
    """`registry` (host:port of a registry:2) gets the layers that it lacks; without one, the whole image is saved and
    loaded, which moves the base too.
    """

    def __init__(self, base: str, registry: str, scratch: Path) -> None:
        self.name = "image, by a registry" if registry else "image, by save and load"
        self._base, self._registry = base, registry
        self._context, self._archives = scratch / "context", scratch / "archives"
        self._tags: set[str] = set()
        run(["docker", "image", "inspect", "--format", "{{.Id}}", base])

    def fresh(self) -> None:
        """Forget."""
        for tag in self._tags:
            with suppress(RuntimeError):  # it is not here any more
                run(["docker", "image", "rm", "--force", tag])
        shutil.rmtree(self._archives, ignore_errors=True)
        self._tags.clear()

    def publish(self, edition: Edition) -> int:
        """Build; push or save. Then forget it here, which is the other machine too."""
        tag = self._tag(edition)
        for folder in (self._context, self._archives):
            folder.mkdir(parents=True, exist_ok=True)
        (self._context / "Dockerfile").write_text(f"FROM {self._base}\nCOPY model.onnx /models/model.onnx\n")
        shutil.copyfile(edition.file, self._context / "model.onnx")
        run(["docker", "build", "--no-cache", "--quiet", "--tag", tag, str(self._context)])
        if self._registry:
            run(["docker", "push", "--quiet", tag])
            moved = self._last_layer(edition)
        else:
            run(["docker", "save", "--output", str(self._archive(edition)), tag])
            moved = self._archive(edition).stat().st_size
        run(["docker", "image", "rm", "--force", tag])
        return moved

    def arrive(self, edition: Edition) -> int:
        """Pull or load, unless the image is here."""
        tag = self._tag(edition)
        if tag in self._tags:  # to return to it is to name it
            run(["docker", "image", "inspect", "--format", "{{.Id}}", tag])
            return 0
        self._tags.add(tag)
        if self._registry:
            run(["docker", "pull", "--quiet", tag])
            return self._last_layer(edition)
        run(["docker", "load", "--quiet", "--input", str(self._archive(edition))])
        return self._archive(edition).stat().st_size

    def _tag(self, edition: Edition) -> str:
        host = f"{self._registry}/" if self._registry else ""
        return f"{host}{edition.name}:{edition.version.replace('+', '-')}"

    def _archive(self, edition: Edition) -> Path:
        return self._archives / f"{edition.version}.tar"

    def _last_layer(self, edition: Edition) -> int:
        """Bytes of the layer that holds the model, compressed, as the registry keeps it."""
        address = self._tag(edition).removeprefix(f"{self._registry}/").replace(":", "/manifests/")
        request = urllib.request.Request(f"http://{self._registry}/v2/{address}", headers={"Accept": _TYPES})
        with urllib.request.urlopen(request, timeout=min(60, DEADLINE_S)) as answer:
            return int(json.load(answer)["layers"][-1]["size"])
