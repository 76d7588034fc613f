"""Promote, refuse and roll back in the registry while callers ask: `make demo`, or `make demo URL=http://…`."""

import argparse
import json
import os
import re
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from mlsys import address, artefact
from mlsys.catalogue import ROOT
from mlsys.errors import MlsysError, Refused
from mlsys.registry import Registry

from .traffic import Answer, Traffic, failed, percentile
from .web import REGISTRY

T = TypeVar("T")
MODELS = ROOT / "models"
WHO = {"who": "demo", "why": "to see it"}
PAUSE_S, WAIT_S = 2.5, 30.0


class Demo:
    """The service, its registry, and what happened when."""

    def __init__(self, url: str) -> None:
        self._url = url
        found = REGISTRY.fullmatch(str(self.get("/release")["source"]))
        if not found:
            sys.exit("The service's MODEL_SOURCE is no registry, so that nothing can be promoted.")
        base, self._model, self._alias = found.groups()
        self.registry = Registry(os.environ.get("REGISTRY_URL", base), SecretStr(os.environ.get("REGISTRY_TOKEN", "")))
        self.model_id = self.registry.alias(self._model, self._alias).model_id
        self.traffic = Traffic(self._url)
        self.events: list[tuple[float, str]] = []
        self.phases: list[tuple[str, float, float]] = []

    def get(self, path: str) -> dict[str, Any]:
        """A JSON document of the service."""
        with urllib.request.urlopen(self._url + path, timeout=10) as answer:
            document: dict[str, Any] = json.load(answer)
        return document

    def say(self, event: str) -> float:
        """Note what happens now."""
        at = self.traffic.now()
        self.events.append((at, event))
        return at

    def promote(self, version: str, name: str) -> str:
        """Upload a file of models/ as that version and let the alias name it, gate or not; returns its sha256."""
        sha256 = self.registry.upload(MODELS / name / "model.onnx")
        self.registry.register(self.model_id, version, sha256)
        self.say(f"registry: {self._alias} is {version} now ({name})")
        try:
            self.registry.promote(self.model_id, self._alias, version, **WHO)
        except Refused as refused:
            self.say(f"the registry's gate refuses: {refused.details}; overridden")
            reason = "the demo shows what the service does"
            self.registry.promote(self.model_id, self._alias, version, override_reason=reason, **WHO)
        return sha256

    def back(self) -> None:
        """One rollback in the registry."""
        promotion = self.registry.rollback(self.model_id, self._alias, **WHO)
        self.say(f"registry: rolled back to {promotion.to_version}")

    def swapped(self, phase: str, sha256: str) -> None:
        """Wait until that model answers alone; the phase is from half a second before its first answer to as long
        after the last one of the other.
        """
        begin = self.traffic.now()
        wait(lambda: {a.sha256 for a in self.since(0.5)} == {sha256}, f"{sha256[:12]} to answer alone")
        answers = self.traffic.between(begin, self.traffic.now())
        first = min(a.at for a in answers if a.sha256 == sha256)
        last = max((a.at for a in answers if a.sha256 not in (sha256, "")), default=first)
        self.events += [(first, f"first answer by {sha256[:12]}"), (last, "last answer by the one before")]
        self.phases.append((phase, first - 0.5, last + 0.5))

    def steady(self, phase: str) -> None:
        """Let some time pass in which nothing changes."""
        begin = self.traffic.now()
        time.sleep(PAUSE_S)
        self.phases.append((phase, begin, self.traffic.now()))

    def since(self, seconds: float) -> list[Answer]:
        """The answers of the last so many seconds."""
        return self.traffic.between(self.traffic.now() - seconds, float("inf"))


def wait(condition: Callable[[], T | None], what: str) -> T:
    """Ask the condition until it holds, and return what it says; or end the demo."""
    end = time.monotonic() + WAIT_S
    while not (found := condition()):
        if time.monotonic() > end:
            sys.exit(f"Waited {WAIT_S:g} s for {what}.")
        time.sleep(0.05)
    return found


def play(demo: Demo) -> None:
    """A good promotion, a bad one, and back, under load."""
    old = str(demo.get("/metadata")["model"]["sha256"])
    if old == artefact.digest(MODELS / "iris_rf" / "model.onnx"):  # left by a demo that was interrupted
        sys.exit("The service answers by iris_rf already, to which the demo would change: roll back in the registry.")
    with demo.traffic.flowing():
        demo.steady("before")
        new = demo.promote("1.1.0-iris.0", "iris_rf")
        demo.swapped("the swap", new)
        demo.steady("after")
        demo.promote("1.2.0-iris.0", "iris_perceptron")
        ready = wait(lambda: re.search(".*refused.*", demo.get("/ready")["model"]), "the refusal")
        demo.say(f"/ready, still 200: {ready[0]}")
        demo.steady("a model is refused")
        demo.back()
        demo.back()
        demo.swapped("the rollback", old)
        demo.steady("at the end")


def figures(demo: Demo) -> tuple[Table, Table]:
    """What happened, and what callers noticed of it."""
    timeline = Table("s", "event", title="Timeline")
    for at, event in sorted(demo.events):
        timeline.add_row(f"{at:.2f}", event)
    phases = Table("phase", "requests", "failed", "p50 (ms)", "p99 (ms)", title="What callers noticed")
    for phase, begin, end in [*demo.phases, ("all", 0.0, float("inf"))]:
        answers = demo.traffic.between(begin, end)
        percentiles = [f"{percentile(answers, percent):.2f}" for percent in (50, 99)]
        phases.add_row(phase, f"{len(answers):,}", str(failed(answers)), *percentiles)
    return timeline, phases


def main() -> None:
    """Print what `figures` found; with --save draw it too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help="write img/swap.png")
    save = parser.parse_args().save
    try:
        demo = Demo(address.url())
        play(demo)
    except (OSError, MlsysError) as error:
        sys.exit(f"URL={os.environ['URL']}: {error}")
    Console().print(*figures(demo), sep="\n")
    if save:
        from .picture import draw

        draw(demo.traffic.answers, demo.events, Path(__file__).parent / "img" / "swap.png")


if __name__ == "__main__":
    main()
