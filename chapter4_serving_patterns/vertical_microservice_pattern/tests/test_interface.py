"""What a stage may answer: a finding of its name, and nothing beside it."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from ..interface import FINDINGS, finding_of

KEYS = ["result", "stop", "score", "outlier", "label", "probabilities", "action", "rule"]
documents = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=5),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.sampled_from(KEYS), inner, max_size=4),
    max_leaves=10,
)


@given(name=some.sampled_from([*FINDINGS, "unknown"]), result=documents, stop=some.none() | some.text(max_size=5))
def test_whatever_is_taken_for_a_finding_can_be_told_to_the_next_stage(name: str, result: object, stop: object) -> None:
    try:
        found = finding_of(name).decode(json.dumps({"result": result, "stop": stop}))
    except msgspec.DecodeError:
        return
    assert finding_of(name).decode(msgspec.json.encode(found)) == found


@pytest.mark.parametrize("word", ["", "Accept", "ask expert", "accept\n", "_a", "a" * 33, "ä"])
def test_an_action_that_is_no_word_is_none(word: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        finding_of("decision").decode(json.dumps({"result": {"action": word, "rule": "sure"}}))
    with pytest.raises(msgspec.ValidationError):
        finding_of("unknown").decode(json.dumps({"result": {}, "stop": word}))


def test_an_action_of_as_many_letters_as_a_word_may_have_is_one() -> None:
    finding_of("decision").decode(json.dumps({"result": {"action": "a" * 32, "rule": "a_"}, "stop": "a"}))
