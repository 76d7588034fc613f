"""The drawing of a metric, as coordinates."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ..plot import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Measured, Plot, number, plot


def drawn(*values: float, champion: int = 0) -> Plot:
    return plot(
        "accuracy",
        [Measured(f"1.0.{i}-iris.1", f"/versions/{i}", value, i == champion) for i, value in enumerate(values)],
    )


def test_a_higher_value_is_drawn_higher_and_a_later_version_further_right() -> None:
    first, second, third = drawn(0.90, 0.95, 0.93).marks
    assert first.x < second.x < third.x
    assert second.y < third.y < first.y


def test_axes_have_round_numbers_and_the_names_of_versions() -> None:
    picture = drawn(0.90, 0.95, 0.93)
    assert [tick.text for tick in picture.up] == ["0.90", "0.91", "0.92", "0.93", "0.94", "0.95"]
    assert [tick.text for tick in picture.across] == ["1.0.0-iris.1", "1.0.1-iris.1", "1.0.2-iris.1"]


def test_of_many_versions_the_first_one_between_and_the_last_are_named() -> None:
    assert [tick.text for tick in drawn(*range(50)).across] == ["1.0.0-iris.1", "1.0.24-iris.1", "1.0.49-iris.1"]


def test_a_point_says_its_version_its_value_and_whether_it_is_the_champion() -> None:
    picture = drawn(0.9, 0.951234, champion=1)
    assert [mark.title for mark in picture.marks] == ["1.0.0-iris.1: 0.9", "1.0.1-iris.1: 0.9512 (champion)"]
    assert picture.summary == "accuracy of 2 versions, from 1.0.0-iris.1: 0.9 to 1.0.1-iris.1: 0.9512 (champion)"


def test_one_version_alone_stands_in_the_middle() -> None:
    (mark,) = drawn(0.9).marks
    assert mark.x == pytest.approx((LEFT + WIDTH - RIGHT) / 2)


@pytest.mark.parametrize("value", [0.0, 1.0, -3.5, 1e300, 5e-324, 1234567.0])
def test_versions_that_are_all_the_same_are_a_level_line(value: float) -> None:
    assert len({mark.y for mark in drawn(value, value, value).marks}) == 1


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**18), 10**18), min_size=1, max_size=30)
)
@settings(deadline=None, derandomize=True)
def test_any_finite_numbers_are_drawn_inside_the_axes(values: list[float]) -> None:
    picture = drawn(*values)
    assert all(LEFT <= mark.x <= WIDTH - RIGHT and TOP - 1 <= mark.y <= HEIGHT - BOTTOM + 1 for mark in picture.marks)
    assert 3 <= len(picture.up) <= 8
    assert all(math.isfinite(tick.at) for tick in picture.up)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5"), (0.98765432, "0.9877"), (1.0, "1"), (23456, "23,456"), (10**400, "1.000e+400"), (1e-9, "1e-09")],
)
def test_numbers_have_four_digits(value: float, text: str) -> None:
    assert number(value) == text
