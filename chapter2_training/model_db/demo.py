"""Two models of one flower, and who is champion: `make demo`, or `make demo URL=http://…` with REGISTRY_TOKEN set."""

import os
import sys
import tempfile
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mlsys import address
from mlsys.errors import MlsysError, Refused
from mlsys.project import Project, fit
from mlsys.registration import following, revision
from mlsys.registry import Promotion, Registry, Release

ALIAS = "champion"
GATE = {"aliases": [ALIAS], "rules": [{"metric": "accuracy", "at_least": 0.8, "may_lose": 0.0}]}
STRENGTHS = (0.01, 1.0)
"""How freely each model may follow the flowers: the first one hardly, and so it errs more."""


class Demo:
    """A model of its own in the registry, so that the demo can be repeated there."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.model = f"iris-{uuid.uuid4().hex[:8]}"
        self.id = registry.model_id("demo", self.model)
        self.who = "demo"
        registry.ask("PUT", f"api/models/{self.id}/gate", dict[str, Any], GATE)

    def register(self, strength: float, folder: Path) -> Release:
        """Train a model and make it a version."""
        trained = fit(Project(name=self.model, trainer=__name__, estimator=lambda: estimator(strength)), test_size=0.3)
        file = folder / "model.onnx"
        file.write_bytes(trained.content)
        known = list(self.registry.versions(self.id))
        name = following(known, "iris", trained.metadata.data_sha256)
        sha256 = self.registry.upload(file)
        parent = known[-1].version if known else None
        return self.registry.register(self.id, name, sha256, code_revision=revision(), parent=parent)

    def promote(self, release: Release, why: str) -> Promotion:
        """Make the version champion."""
        return self.registry.promote(self.id, ALIAS, release.id, who=self.who, why=why)

    def roll_back(self, why: str) -> Promotion:
        """Make the version before champion again."""
        return self.registry.rollback(self.id, ALIAS, who=self.who, why=why)

    def champion_at(self, moment: str) -> str:
        """Which version was champion then."""
        path = f"api/models/{self.id}/aliases/{ALIAS}?{urlencode({'at': moment})}"
        return self.registry.ask("GET", path, Release).version

    def log(self) -> list[Promotion]:
        """All that was promoted and rolled back, the first one first."""
        return self.registry.ask("GET", f"api/models/{self.id}/promotions?alias={ALIAS}", list[Promotion])[::-1]


def estimator(strength: float) -> Pipeline:
    """Logistic regression, the less restrained the greater `strength`."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))


def versions(releases: list[Release]) -> Table:
    """What was trained."""
    table = Table("version", "accuracy", "bytes", "sha256", title="Registered")
    for release in releases:
        table.add_row(
            release.version, f"{release.metrics['accuracy']:.3f}", str(release.size_bytes), release.sha256[:12]
        )
    return table


def log(lines: list[Promotion]) -> Table:
    """The log of promotions."""
    table = Table("#", "at (UTC)", "kind", "from", "to", "who", "why", title="The promotion log, which only grows")
    for line in lines:
        at = datetime.fromisoformat(line.at).strftime("%H:%M:%S")
        table.add_row(
            str(line.number), at, line.kind, line.from_version or "-", line.to_version or "-", line.who, line.why
        )
    return table


def show(demo: Demo, console: Console, folder: Path) -> None:
    """Train, register, promote, be refused, roll back."""
    coarse, fine = [demo.register(strength, folder) for strength in STRENGTHS]
    console.print(versions([coarse, fine]))
    demo.promote(coarse, "the first one")
    second = demo.promote(fine, "errs less")
    try:
        demo.promote(coarse, "it is smaller")
    except Refused as refusal:
        console.print(f"Refused: {'; '.join(cast('list[str]', refusal.details))}.\n")
    else:
        sys.exit(f"{coarse.version} became champion although it is worse than {fine.version}.")
    demo.roll_back("a caller complains")
    champion = demo.registry.alias(demo.model, ALIAS)
    file = demo.registry.fetch(champion, folder)
    console.print(
        f"After one rollback {champion.version} is champion: {file.stat().st_size} bytes, fetched and verified."
    )
    console.print(f"At {second.at} it was {demo.champion_at(second.at)}.\n")
    console.print(log(demo.log()))


def main() -> None:
    """Show it at URL, with the token in REGISTRY_TOKEN."""
    token = os.environ.get("REGISTRY_TOKEN")
    try:
        registry = Registry(address.url(), SecretStr(token) if token else None)
        with tempfile.TemporaryDirectory() as folder:
            show(Demo(registry), Console(width=110), Path(folder))
    except MlsysError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
