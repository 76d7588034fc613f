"""Version names: what is one, and which comes after which."""

import random

import pytest

from chapter2_training.model_db.naming import VersionName
from mlsys.errors import InvalidInput


def test_a_name_says_release_data_and_split() -> None:
    assert VersionName.parse("1.4.0-iris.2") == (1, 4, 0, "iris", 2)
    assert str(VersionName(1, 4, 0, "iris", 2)) == "1.4.0-iris.2"


def test_names_are_ordered_by_number_and_not_by_text() -> None:
    names = ["1.9.0-iris.1", "1.10.0-iris.1", "1.10.0-iris.2", "1.10.0-iris.10", "1.10.0-iris-2026.1", "2.0.0-a.0"]
    expected = ["1.9.0-iris.1", "1.10.0-iris.1", "1.10.0-iris.2", "1.10.0-iris.10", "1.10.0-iris-2026.1", "2.0.0-a.0"]
    for seed in range(20):
        shuffled = random.Random(seed).sample(names, len(names))  # noqa: S311  # no secret
        assert sorted(shuffled, key=VersionName.parse) == expected


@pytest.mark.parametrize(
    "name",
    [
        "",
        "1.4.0",
        "1.4-iris.2",
        "v1.4.0-iris.2",
        "1.4.0-iris",
        "1.4.0-iris.x",
        "01.4.0-iris.2",
        "1.4.0-iris.02",
        "1.4.0-2026.1",
        "1.4.0-iris.2\n",
        " 1.4.0-iris.2",
        "1.4.0-ir/is.2",
        "../1.4.0-iris.2",
        "1.4.0-iris.2+build",
        "1.4.0-írís.2",
        "١.4.0-iris.2",
        "1.4.0-iris.1234567890",
        f"1.4.0-{'i' * 65}.2",
        "1" * 10_000,
    ],
)
def test_what_has_another_form_is_refused_by_a_sentence_that_names_the_form(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"no version name: it has the form x\.y\.z-data\.split, as in"):
        VersionName.parse(name)
