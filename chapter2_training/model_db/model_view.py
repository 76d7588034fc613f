"""What the page of a model shows: its aliases, its metrics over time, its versions and its log."""

import re
import uuid
from collections.abc import Sequence
from urllib.parse import quote

from sqlalchemy.orm import Session

from mlsys.errors import InvalidInput

from . import answers, gate, history, promotions, records
from .answers import CHAMPION
from .plot import SIZE, Measured, Plot, plot
from .shapes import VersionAnswer
from .tables import Model, Project, Promotion, Version
from .views import LIMIT, LOG_LIMIT, Facts, following, version_of

PLOTS = 24
COLUMNS = 3
"""Metrics that the list of versions has."""


def model(session: Session, model: Model, after: str, before: str) -> Facts:
    """The versions registered before the version `after`, the log before the line `before`; empty: the latest."""
    rules = gate.decode(model.gate)
    latest = history.versions(session, model, None, LIMIT + 1)
    present = promotions.present(session, model.id)
    champion = present[CHAMPION].to_version_id if CHAMPION in present else None
    metrics = _metrics(rules, latest[:LIMIT])
    return {
        "model": model,
        "project_name": records.get(session, Project, model.project_id).name,
        "aliases": _aliases(session, present),
        "gated": rules.aliases,
        "rules": rule_texts(rules),
        "plots": [_plot(metric, latest[:LIMIT], champion) for metric in metrics[:PLOTS]],
        "unplotted": len(metrics[PLOTS:]),
        "size": SIZE,
        "shown": len(latest[:LIMIT]),
        "count": history.count_versions(session, model),
        "metrics": metrics[:COLUMNS],
        **_versions(session, model, after, latest),
        **_log(session, model, before),
    }


def rule_texts(rules: gate.Gate) -> list[str]:
    """The gate in words."""
    texts = []
    for rule in rules.rules:
        limits = {"at least": rule.at_least, "at most": rule.at_most, "may lose": rule.may_lose}
        texts += [f"{rule.metric} {word} {limit:g}" for word, limit in limits.items() if limit is not None]
    return [*texts, "no signature that breaks callers"] if rules.refuse_breaking_signature else texts


def _aliases(session: Session, present: dict[str, Promotion]) -> dict[str, VersionAnswer]:
    held = {line.to_version_id for line in present.values() if line.to_version_id}
    answered = answers.versions(session, [records.get(session, Version, version_id) for version_id in held])
    by_id = {version["id"]: version for version in answered}
    return {alias: by_id[str(line.to_version_id)] for alias, line in sorted(present.items(), key=_champion_first)}


def _champion_first(named: tuple[str, Promotion]) -> tuple[bool, str]:
    return named[0] != CHAMPION, named[0]


def _versions(session: Session, model: Model, after: str, latest: Sequence[Version]) -> Facts:
    path = f"/models/{quote(model.name)}"
    rows = history.versions(session, model, version_of(session, after), LIMIT + 1) if after else latest
    shown = answers.versions(session, rows[:LIMIT])
    # What is most often compared is chosen already: the champion with the latest of the others.
    champion = next((row["id"] for row in shown if CHAMPION in row["aliases"]), None)
    return {
        "versions": shown,
        "chosen": {"left": champion, "right": next((row["id"] for row in shown if row["id"] != champion), None)},
        "first": f"{path}#versions" if after else None,
        "following": following(path, after=rows[LIMIT - 1].id) + "#versions" if rows[LIMIT:] else None,
    }


def _log(session: Session, model: Model, before: str) -> Facts:
    if before and not re.fullmatch("[0-9]{1,18}", before):
        raise InvalidInput(f"before={before[:40]!r} is no place in the log.")
    path, sequence = f"/models/{quote(model.name)}", int(before) if before else None
    log = history.promotions(session, LOG_LIMIT + 1, of=Promotion.model_id == model.id, before=sequence)
    return {
        "promotions": answers.promotions(session, log[:LOG_LIMIT]),
        "log_first": f"{path}#log" if before else None,
        "log_following": following(path, before=log[LOG_LIMIT - 1].sequence) + "#log" if log[LOG_LIMIT:] else None,
    }


def _metrics(rules: gate.Gate, versions: Sequence[Version]) -> list[str]:
    """The metrics of the versions, those of the gate first."""
    known = {name for version in versions for name in version.metrics}
    asked = list(dict.fromkeys(rule.metric for rule in rules.rules if rule.metric in known))
    return asked + sorted(known - set(asked))


def _plot(metric: str, latest: Sequence[Version], champion: uuid.UUID | None) -> Plot:
    return plot(
        metric,
        [
            Measured(version.name, f"/versions/{version.id}", version.metrics[metric], version.id == champion)
            for version in reversed(latest)
            if metric in version.metrics
        ],
    )
