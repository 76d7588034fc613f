import pytest

from ..markup import MODEL, Rotten, mark


def test_a_phrase_becomes_its_mark_in_every_file() -> None:
    files = {"Procfile": "web: old_name.app", "app.py": 'title="old_name"'}
    assert mark(files, {"old_name": "⟦name⟧"}) == {"Procfile": "web: ⟦name⟧.app", "app.py": 'title="⟦name⟧"'}


def test_the_first_phrase_of_a_table_goes_first() -> None:
    assert mark({"a": "one flower of the flowers"}, {"one flower": "x", "flower": "y"}) == {"a": "x of the ys"}


def test_a_later_table_sees_what_an_earlier_one_wrote() -> None:
    assert mark({"a": "one"}, {"one": "two"}, {"two": "three"}) == {"a": "three"}


def test_a_phrase_that_is_nowhere_any_more_is_refused_by_name() -> None:
    with pytest.raises(Rotten, match=r"No file of the pattern has 'gone' any more"):
        mark({"a": "text"}, {"gone": "⟦name⟧"})


def test_a_file_that_has_marks_already_is_refused_by_name() -> None:
    with pytest.raises(Rotten, match=r"app\.py has ⟦ or ⟧ in it"):
        mark({"app.py": "⟦name⟧"}, {})


def test_what_is_given_is_left_as_it_is() -> None:
    files = {"a": " ".join(MODEL)}
    mark(files, MODEL)
    assert files == {"a": " ".join(MODEL)}
