"""Two versions, line by line."""

import pytest

from ..comparison import Line, facts, metrics


def test_a_metric_of_both_has_its_change_and_one_of_either_has_none() -> None:
    assert metrics({"accuracy": 0.9, "old": 1}, {"accuracy": 0.95, "new": 2}, {}) == [
        Line("accuracy", "0.9", "0.95", True, "+0.05"),
        Line("new", "not given", "2", True),
        Line("old", "1", "not given", True),
    ]


@pytest.mark.parametrize(
    ("right", "higher", "verdict"), [(0.95, True, "better"), (0.95, False, "worse"), (0.8, False, "better")]
)
def test_a_change_is_better_or_worse_where_it_is_known_which_way_is_good(
    right: float, higher: bool, verdict: str
) -> None:
    (line,) = metrics({"m": 0.9}, {"m": right}, {"m": higher})
    assert line.verdict == verdict


def test_no_change_is_neither_better_nor_worse() -> None:
    (line,) = metrics({"m": 0.9}, {"m": 0.9}, {"m": True})
    assert (line.differs, line.change, line.verdict) == (False, "", "")


def test_what_differs_comes_first_and_null_is_not_the_same_as_not_given() -> None:
    lines = facts({"a": 1, "b": None, "c": {"d": [1]}}, {"a": 1, "c": {"d": [2]}})
    assert [(line.name, line.left, line.right, line.differs) for line in lines] == [
        ("b", "null", "not given", True),
        ("c", '{"d": [1]}', '{"d": [2]}', True),
        ("a", "1", "1", False),
    ]


def test_true_is_not_one() -> None:
    (line,) = facts({"a": True}, {"a": 1})
    assert (line.left, line.right, line.differs) == ("true", "1", True)
