"""What a project of its own has beyond the pattern: mlsys as a wheel, its own lock, and the model file."""

import gzip
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mlsys import pictures, shipped
from mlsys.catalogue import ROOT
from mlsys.errors import StartupError
from mlsys.train import trainers

from . import lock, wheel
from .render import golden

SNAPSHOT = ".made-as.json.gz"
"""The text of all that a project was made as, which it keeps: what an update compares with."""
_BINARY = {"vendor", "models"}
CHAPTER = "services"
"""The project's one chapter: a package is two folders deep everywhere, so that code and images need no other form."""


@dataclass(frozen=True)
class Needs:
    """What a pattern's Makefile says that it needs, beside what every service does."""

    models: list[str]
    categories: list[str]
    secrets: list[str]
    pictures: bool
    exports: list[str]

    @classmethod
    def of(cls, kind: str, answers: Mapping[str, object]) -> Self:
        """The answers have the model, if that could be chosen."""
        model, files = answers.get("model"), golden(kind, set())
        makefile = files["Makefile"]
        said = dict(re.findall(r"^(\w+) := (.*)$", makefile, re.MULTILINE))
        tests = "".join(text for path, text in files.items() if path.startswith("tests/"))
        tested = [name for name in (*trainers(), *shipped.models()) if f'"{name}"' in tests]
        return cls(
            models=[str(model)] if model else list(dict.fromkeys([*said["MODELS"].split(), *tested])),
            categories=[] if model else ["inference", *said.get("NEEDS", "").split()],
            secrets=said.get("SECRETS", "").split(),
            pictures="PICTURES" in said,
            exports=re.findall(r"^\w+: export .*$", makefile, re.MULTILINE),
        )


def complete(folder: Path, needs: Needs) -> None:
    """Add the wheel, the lock and the models to a project. Raises: StartupError if one cannot be built."""
    lock.write(folder / "requirements", wheel.build(folder / "vendor"), needs.categories)
    train(needs.models)
    for model in needs.models:
        (folder / "models" / model).mkdir(parents=True)
        shutil.copy(ROOT / "models" / model / "model.onnx", folder / "models" / model)
    if needs.pictures:
        pictures.write(folder / "models" / "pictures")


def train(models: list[str]) -> None:
    """Build the models that are not there yet. Raises: StartupError with what the trainer said."""
    command = [sys.executable, "-m", "mlsys.train", f"--output={ROOT / 'models'}", "--", *models]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        raise StartupError(done.stderr.strip())


def snapshot(folder: Path) -> dict[str, str]:
    """The text files of a project that has just been made."""
    paths = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): (folder / path).read_text() for path in paths if path.parts[0] not in _BINARY | {SNAPSHOT}}


def keep(folder: Path) -> None:
    """Write a project's snapshot into it."""
    packed = gzip.compress(json.dumps(snapshot(folder), sort_keys=True).encode(), mtime=0)
    (folder / SNAPSHOT).write_bytes(packed)
