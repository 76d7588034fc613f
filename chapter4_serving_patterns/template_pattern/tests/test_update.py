"""What becomes of a project's files when the template has changed since."""

import gzip
import subprocess
from pathlib import Path

import pytest

from ..merge import NoUpdate, Outcome, apply, merge
from ..project import keep, snapshot
from ..update import update

LINES = "".join(f"line {number}\n" for number in range(10))


def test_changes_of_both_at_different_places_are_both_there() -> None:
    merged, conflict = merge(LINES, LINES.replace("line 1\n", "mine\n"), LINES.replace("line 8\n", "theirs\n"))
    assert (merged, conflict) == (LINES.replace("line 1\n", "mine\n").replace("line 8\n", "theirs\n"), False)


def test_changes_of_both_at_the_same_place_stand_between_gits_markers() -> None:
    merged, conflict = merge(LINES, LINES.replace("line 5\n", "mine\n"), LINES.replace("line 5\n", "theirs\n"))
    assert conflict
    assert "<<<<<<< project\nmine\n=======\ntheirs\n>>>>>>> template\n" in merged


@pytest.mark.parametrize(
    ("before", "mine", "after", "left"),
    [
        ("old", "old", "new", "new"),
        ("old", "mine", "old", "mine"),
        ("old", "new", "new", "new"),
        ("old", None, "new", None),
        ("old", "old", None, None),
        ("old", "mine", None, "mine"),
        (None, None, "new", "new"),
        (None, "new", "new", "new"),
        (None, "mine", None, "mine"),
    ],
)
def test_what_only_one_has_changed_is_what_is_left(
    tmp_path: Path, before: str | None, mine: str | None, after: str | None, left: str | None
) -> None:
    file = tmp_path / "folder" / "file"
    file.parent.mkdir()
    if mine is not None:
        file.write_text(mine)
    outcome = apply(tmp_path, {"folder/file": before} if before else {}, {"folder/file": after} if after else {})
    assert (file.read_text() if file.exists() else None) == left
    assert not outcome.conflicts


def test_a_file_that_both_have_made_is_a_conflict_that_loses_neither(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine\n")
    assert apply(tmp_path, {}, {"file": "theirs\n"}) == Outcome([], ["file"], [])
    assert "mine\n=======\ntheirs\n" in (tmp_path / "file").read_text()


def test_a_change_that_finds_no_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "changed").write_text("mine\n")
    before = {"renamed": "old\n", "changed": "old\n", "gone": "old\n"}
    assert apply(tmp_path, before, {"renamed": "new\n"}) == Outcome([], [], ["changed", "renamed"])
    assert [path.name for path in tmp_path.iterdir()] == ["changed"]


@pytest.mark.parametrize("trap", ["link", "no text"])
def test_a_file_that_cannot_be_merged_is_refused_before_any_is_written(tmp_path: Path, trap: str) -> None:
    project, outside = tmp_path / "project", tmp_path / "outside"
    project.mkdir()
    outside.write_text("b\n")
    (project / "a").write_text("a\n")
    if trap == "link":
        (project / "b").symlink_to(outside)
    else:
        (project / "b").write_bytes(b"\xff")
    with pytest.raises(NoUpdate, match=r"/b is "):
        apply(project, {"a": "a\n", "b": "b\n"}, {"a": "new\n", "b": "new\n"})
    assert ((project / "a").read_text(), outside.read_text()) == ("a\n", "b\n")


def test_a_snapshot_has_the_text_and_not_the_wheel_the_models_and_itself(tmp_path: Path) -> None:
    for name in ("vendor/mlsys.whl", "models/a/model.onnx", "app.py", "tests/test_app.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    keep(tmp_path)
    assert snapshot(tmp_path) == {"app.py": "app.py", "tests/test_app.py": "tests/test_app.py"}


@pytest.mark.parametrize(
    "content",
    [None, b"", b"nonsense", gzip.compress(b"{}")[:-4], gzip.compress(b"[]")],
    ids=["none", "empty", "nonsense", "cut", "a list"],
)
def test_a_folder_that_is_no_project_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / ".made-as.json.gz").write_bytes(content)
        (tmp_path / ".copier-answers.yml").write_text("kind: single\n")
    with pytest.raises(NoUpdate, match="is no project that `make new` made"):
        update(tmp_path)


@pytest.mark.parametrize("answers", ["", "[]", "kind: other", "name: mine", "kind: [", "kind: {}"])
def test_answers_that_it_did_not_write_are_refused(tmp_path: Path, answers: str) -> None:
    (tmp_path / ".copier-answers.yml").write_text(answers)
    keep(tmp_path)
    with pytest.raises(NoUpdate, match="is no project that `make new` made"):
        update(tmp_path)


def test_a_project_that_git_ignores_is_refused(tmp_path: Path) -> None:
    for words in (["init", "--quiet"], ["add", ".gitignore"], ["commit", "--quiet", "--message=mine"]):
        (tmp_path / ".gitignore").write_text("/ignored/\n")
        who = ["-c", "user.name=someone", "-c", "user.email=someone@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True)
    (tmp_path / "ignored").mkdir()
    (tmp_path / "ignored" / ".copier-answers.yml").write_text("kind: single\n")
    keep(tmp_path / "ignored")
    with pytest.raises(NoUpdate, match="is not all committed to git"):
        update(tmp_path / "ignored")


def test_a_project_that_is_not_committed_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".copier-answers.yml").write_text("kind: single\n")
    keep(tmp_path)
    with pytest.raises(NoUpdate, match="is not all committed to git"):
        update(tmp_path)
