"""The gate: whether a version may take the place of the one that is in production.

A rule speaks of one metric. It can ask for a value (`at_least`, `at_most`), and it can ask that nothing, or not much,
is lost against the version that holds the alias now (`may_lose`). A metric that is missing is a reason against, never
a pass. A signature that breaks the callers of the present holder is a reason against too.

The gate only says what it finds. Who promotes in spite of it must give a reason, and log that reason with the findings.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from .signature import Signature, compare

_ROUNDING = 1e-9
"""0.97 - 0.95 is 0.020000000000000018: a loss of 0.02 that is allowed must not fail for that."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What one metric must be. `may_lose` is in the metric's own unit: 0.01 of accuracy is one per cent point.

    higher_is_better: false for an error or a time, where growing is what is lost.
    """

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    may_lose: float | None = None
    higher_is_better: bool = True


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """What a model's versions must pass to be given one of these aliases; other aliases are free."""

    aliases: list[str] = msgspec.field(default_factory=lambda: ["champion"])
    rules: list[Rule] = []
    refuse_breaking_signature: bool = True


class Candidate(NamedTuple):
    """What the gate needs to know of a version."""

    name: str
    metrics: Mapping[str, float]
    signature: Signature


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. `says` is a sentence with the values."""

    check: str
    passed: bool
    says: str


def decode(document: Mapping[str, Any]) -> Gate:
    """The gate as it is stored; an empty document is the default gate."""
    return msgspec.convert(document, Gate)


def judge(gate: Gate, alias: str, candidate: Candidate, holder: Candidate | None) -> list[Finding]:
    """All that the gate looks at when `candidate` is to take the alias from `holder` (None: nobody has it yet)."""
    if alias not in gate.aliases:
        return []
    findings = [finding for rule in gate.rules for finding in _judge_metric(rule, candidate, holder)]
    if holder:
        findings.append(_judge_signature(gate, candidate, holder))
    return findings


def reasons(findings: list[Finding]) -> list[str]:
    """What speaks against the promotion; none: it may happen."""
    return [finding.says for finding in findings if not finding.passed]


def _judge_metric(rule: Rule, candidate: Candidate, holder: Candidate | None) -> Iterator[Finding]:
    name, value = rule.metric, candidate.metrics.get(rule.metric)
    if value is None:
        yield Finding(f"{name} is known", False, f"{candidate.name} has no metric `{name}`, which the gate asks for")
        return
    says = f"{name} of {candidate.name} is {value:.6g}"
    if rule.at_least is not None:
        yield Finding(f"{name} at least {rule.at_least:g}", value >= rule.at_least, f"{says}, asked {rule.at_least:g}")
    if rule.at_most is not None:
        yield Finding(f"{name} at most {rule.at_most:g}", value <= rule.at_most, f"{says}, allowed {rule.at_most:g}")
    if rule.may_lose is not None and holder:
        yield _judge_loss(rule, rule.may_lose, says, value, holder)


def _judge_loss(rule: Rule, may_lose: float, says: str, value: float, holder: Candidate) -> Finding:
    check = f"{rule.metric} loses at most {may_lose:g}"
    held = holder.metrics.get(rule.metric)
    if held is None:
        return Finding(
            check, False, f"{holder.name} has no metric `{rule.metric}` to compare with: add it, or override"
        )
    lost = held - value if rule.higher_is_better else value - held
    passed = lost <= may_lose or math.isclose(lost, may_lose, abs_tol=_ROUNDING)
    return Finding(check, passed, f"{says}, that of {holder.name} {held:.6g}; it may lose {may_lose:g}")


def _judge_signature(gate: Gate, candidate: Candidate, holder: Candidate) -> Finding:
    compatibility = compare(holder.signature, candidate.signature)
    changes = f": {'; '.join(compatibility.changes)}" if compatibility.changes else ""
    return Finding(
        "signature does not break callers",
        compatibility.verdict != "breaking" or not gate.refuse_breaking_signature,
        f"the signature of {candidate.name} is {compatibility.verdict} for callers of {holder.name}{changes}",
    )
