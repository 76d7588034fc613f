from typing import get_args

import pytest

from mlsys import iris

from ..interface import Decision, Prediction, Species
from ..rules import Rule, decide
from ..settings import Settings


def predicted(*probabilities: float) -> Prediction:
    species = get_args(Species)
    return Prediction(species[probabilities.index(max(probabilities))], list(probabilities))


def test_the_species_are_those_of_the_data() -> None:
    assert get_args(Species) == iris.LABELS


@pytest.mark.parametrize(
    ("probabilities", "action", "rule"),
    [
        ((0.97, 0.02, 0.01), "accept", "sure"),
        ((0.02, 0.7, 0.28), "accept", "sure"),
        ((0.02, 0.69, 0.29), "ask_expert", "unsure"),
        ((0.0, 0.45, 0.55), "ask_expert", "torn"),
        ((0.34, 0.33, 0.33), "ask_expert", "torn"),
    ],
)
def test_the_default_rules_accept_what_is_sure_and_ask_an_expert_about_the_rest(
    probabilities: tuple[float, ...], action: str, rule: str
) -> None:
    assert decide(Settings().rules, predicted(*probabilities)) == Decision(action, rule)


def test_the_first_rule_that_holds_decides() -> None:
    rules = [
        Rule(name="rare", action="ask_expert", species=("virginica",), top_below=0.99),
        Rule(name="rest", action="accept"),
    ]
    assert decide(rules, predicted(0.0, 0.1, 0.9)).rule == "rare"
    assert decide(rules, predicted(0.0, 0.0, 1.0)).rule == "rest"
    assert decide(rules, predicted(0.9, 0.1, 0.0)).rule == "rest"
