"""The gate and the comparison of signatures, without a database."""

import pytest

from chapter2_training.model_db.gate import Candidate, Gate, Rule, decode, judge, reasons
from chapter2_training.model_db.signature import Signature, Tensor, compare

ROW = Tensor(name="input", datatype="FP32", shape=[-1, 4])
LABEL = Tensor(name="label", datatype="INT64", shape=[-1])
OLD = Signature([ROW], [LABEL], ["length", "width"], ["setosa", "virginica"])
ACCURACY = Rule(metric="accuracy", at_least=0.9, may_lose=0.01)


def tensor(like: Tensor, **changes: object) -> Tensor:
    return Tensor(**{**like, **changes})  # type: ignore[typeddict-item]


def version(name: str, signature: Signature = OLD, **metrics: float) -> Candidate:
    return Candidate(name, metrics, signature)


def against(gate: Gate, candidate: Candidate, holder: Candidate | None = None, alias: str = "champion") -> list[str]:
    return reasons(judge(gate, alias, candidate, holder))


def test_a_version_that_meets_every_rule_may_pass_and_what_was_looked_at_is_told() -> None:
    findings = judge(Gate(rules=[ACCURACY]), "champion", version("new", accuracy=0.95), version("old", accuracy=0.94))
    assert [finding.check for finding in findings] == [
        "accuracy at least 0.9",
        "accuracy loses at most 0.01",
        "signature does not break callers",
    ]
    assert all(finding.passed for finding in findings)


def test_each_rule_that_is_not_met_is_a_reason_with_the_values() -> None:
    gate = Gate(rules=[ACCURACY, Rule(metric="latency_ms", at_most=2, may_lose=0.5, higher_is_better=False)])
    worse, present = version("new", accuracy=0.85, latency_ms=4), version("old", accuracy=0.95, latency_ms=1)
    assert against(gate, worse, present) == [
        "accuracy of new is 0.85, asked 0.9",
        "accuracy of new is 0.85, that of old 0.95; it may lose 0.01",
        "latency_ms of new is 4, allowed 2",
        "latency_ms of new is 4, that of old 1; it may lose 0.5",
    ]


def test_a_missing_metric_is_a_reason_and_never_a_pass() -> None:
    gate = Gate(rules=[ACCURACY])
    assert against(gate, version("new")) == ["new has no metric `accuracy`, which the gate asks for"]
    (reason,) = against(gate, version("new", accuracy=0.99), version("old"))
    assert reason.startswith("old has no metric `accuracy` to compare with")


@pytest.mark.parametrize(("value", "passes"), [(0.95, True), (0.9499, False), (0.98, True)])
def test_a_loss_that_is_allowed_to_the_last_digit_passes(value: float, passes: bool) -> None:
    gate = Gate(rules=[Rule(metric="accuracy", may_lose=0.02)])
    assert (against(gate, version("new", accuracy=value), version("old", accuracy=0.97)) == []) == passes


def test_the_first_version_is_compared_with_nothing_but_the_thresholds() -> None:
    assert against(Gate(rules=[ACCURACY]), version("new", accuracy=0.91)) == []
    assert against(Gate(rules=[ACCURACY]), version("new", accuracy=0.89)) != []


def test_an_alias_that_the_gate_does_not_name_is_free() -> None:
    assert judge(Gate(rules=[ACCURACY]), "challenger", version("new"), version("old")) == []


def test_a_signature_that_breaks_callers_is_a_reason_unless_the_gate_allows_it() -> None:
    broken = version("new", Signature([tensor(ROW, shape=[-1, 5])], [LABEL], *OLD[2:]))
    (reason,) = against(Gate(), broken, version("old"))
    assert reason == (
        "the signature of new is breaking for callers of old: input `input` had the shape [-1, 4] and has [-1, 5]"
    )
    assert against(Gate(refuse_breaking_signature=False), broken, version("old")) == []


def test_an_empty_document_is_the_default_gate() -> None:
    assert decode({}) == Gate(aliases=["champion"], rules=[], refuse_breaking_signature=True)


EXTRA = Tensor(name="extra", datatype="FP32", shape=[1])


@pytest.mark.parametrize(
    ("new", "verdict"),
    [
        (OLD, "same"),
        (OLD._replace(outputs=[LABEL, EXTRA]), "compatible"),
        (OLD._replace(outputs=[EXTRA]), "breaking"),
        (OLD._replace(inputs=[ROW, EXTRA]), "breaking"),
        (OLD._replace(inputs=[]), "breaking"),
        (OLD._replace(inputs=[tensor(ROW, datatype="FP64")]), "breaking"),
        (OLD._replace(inputs=[tensor(ROW, shape=[-1, -1])]), "compatible"),
        (OLD._replace(inputs=[tensor(ROW, shape=[1, 4])]), "breaking"),
        (OLD._replace(inputs=[tensor(ROW, shape=[-1, 4, 1])]), "breaking"),
        (OLD._replace(outputs=[tensor(LABEL, shape=[1])]), "compatible"),
        (OLD._replace(outputs=[tensor(LABEL, shape=[-1, 1])]), "breaking"),
        (OLD._replace(labels=["virginica", "setosa"]), "breaking"),
        (OLD._replace(labels=[]), "breaking"),
        (OLD._replace(features=["width", "length"]), "breaking"),
    ],
)
def test_a_change_is_judged_from_the_side_of_the_caller(new: Signature, verdict: str) -> None:
    compatibility = compare(OLD, new)
    assert compatibility.verdict == verdict
    assert bool(compatibility.changes) == (verdict != "same")


def test_the_order_of_tensors_does_not_matter() -> None:
    assert compare(OLD._replace(inputs=[ROW, EXTRA]), OLD._replace(inputs=[EXTRA, ROW])).verdict == "same"


def test_what_an_old_model_did_not_name_breaks_nobody() -> None:
    assert compare(OLD._replace(labels=[], features=[]), OLD).verdict == "compatible"
