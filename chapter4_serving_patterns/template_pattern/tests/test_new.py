"""What is asked of `make new`, and refused in one sentence."""

from argparse import Namespace
from pathlib import Path

import pytest

from mlsys.catalogue import ROOT
from mlsys.errors import StartupError

from .. import new
from ..markup import KINDS
from ..variables import BOOK
from ..wanted import Refused, arguments, check


def wanted(**given: object) -> Namespace:
    usual = {"name": "my_pattern", "kind": "single", "chapter": "chapter4_serving_patterns"}
    nothing: dict[str, object] = dict.fromkeys(["model", "to", *BOOK])
    return Namespace(**{**nothing, **usual, **given})


def test_a_good_name_in_a_chapter_or_an_empty_folder_will_do(tmp_path: Path) -> None:
    for good in (wanted(), wanted(to=tmp_path), wanted(to=tmp_path / "new"), wanted(name="a"), wanted(name="b2_c3")):
        check(good)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "MyPattern",
        "my-pattern",
        "2nd",
        "_own",
        "a__b",
        "a_",
        "../up",
        "a b",
        "ä",
        "class",
        "a" * 41,
        "json",
        "$(id)",
        "default",
        "kube_system",
    ],
)
def test_a_name_that_is_no_modules_is_refused(name: str) -> None:
    with pytest.raises(Refused, match=r"^name="):
        check(wanted(name=name))


def test_a_name_that_is_taken_is_refused_with_its_place() -> None:
    with pytest.raises(Refused, match=r"is taken by chapter4_serving_patterns/web_single_pattern: choose another\.$"):
        check(wanted(name="web_single_pattern"))


@pytest.mark.parametrize("option", ["kind", "chapter"])
@pytest.mark.parametrize("value", ["", "other", "../elsewhere"])
def test_an_unknown_kind_or_chapter_is_refused_with_what_there_is(option: str, value: str) -> None:
    with pytest.raises(Refused, match=rf"^{option}={value} is not known: choose"):
        check(wanted(**{option: value}))


def test_a_folder_with_something_in_it_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    for place in (tmp_path, tmp_path / "kept"):
        with pytest.raises(Refused, match="is not an empty folder"):
            check(wanted(to=place))
    assert (tmp_path / "kept").read_text() == "mine"


def test_a_folder_where_make_cannot_work_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="has a space in its path"):
        check(wanted(to=tmp_path / "with space"))


@pytest.mark.parametrize("place", ["", "new", "chapter4_serving_patterns/new"])
def test_a_project_in_this_repository_is_refused(place: str) -> None:
    with pytest.raises(Refused, match="is in this repository: name a folder outside"):
        check(wanted(to=ROOT / place))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "The following arguments are required: --name\n"),
        (["--name=mine", "--modle=iris_rf"], "Unrecognized arguments: --modle=iris_rf\n"),
    ],
)
def test_a_variable_that_is_missing_or_misspelt_is_one_sentence(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["new", *words])
    with pytest.raises(SystemExit, match="2"):
        arguments()
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"single"}))
@pytest.mark.parametrize("option", ["model", *BOOK])
def test_only_the_name_of_other_kinds_can_be_chosen(kind: str, option: str) -> None:
    check(wanted(kind=kind))
    with pytest.raises(Refused, match=rf"^{option}=\S+ works with kind=single alone.* which is {KINDS[kind]} under"):
        check(wanted(kind=kind, **{option: Path("place")}))


@pytest.mark.parametrize("model", ["all", "no_such_model", "--help", ""])
def test_an_unknown_model_is_refused_in_one_sentence(model: str) -> None:
    with pytest.raises(StartupError) as refused:
        check(wanted(model=model))
        new.model_of(wanted(model=model))
    assert str(refused.value).count("\n") == 0
