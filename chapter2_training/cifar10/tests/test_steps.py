"""A step is done once for the same inputs, again for others, and tried again only where that can help."""

from pathlib import Path

import pytest

from chapter2_training.cifar10.steps import ATTEMPTS, Passing, Step, digest, run


class Work:
    """Writes a file, and remembers what it was asked."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.found: list[list[str]] = []

    def __call__(self, folder: Path) -> None:
        self.found.append(sorted(path.name for path in folder.iterdir()))
        (folder / "part").write_text("begun")
        if self.failures:
            raise self.failures.pop(0)
        (folder / "result").write_text("done")


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "code.py"
    path.write_text('"""Say hello."""\nx = 1  # one\n')
    return path


def step(work: Work, code: Path, **inputs: int) -> Step:
    return Step(name="some", work=work, sources=(code,), inputs={**inputs})


def quietly(line: str) -> None:
    pass


def test_a_step_is_done_once_and_says_so(tmp_path: Path, code: Path) -> None:
    work, said = Work(), list[str]()
    first = run(step(work, code, a=1), tmp_path, say=said.append)
    assert run(step(work, code, a=1), tmp_path, say=said.append) == first
    assert len(work.found) == 1
    assert said == ["some: done in 0 s", "some: unchanged"]
    assert sorted(first[1]) == ["part", "result"]


def test_another_input_or_other_code_is_another_step(tmp_path: Path, code: Path) -> None:
    work = Work()
    folders = {run(step(work, code, a=number), tmp_path, say=quietly)[0] for number in (1, 2)}
    code.write_text('"""Say hello."""\nx = 2  # one\n')
    folders.add(run(step(work, code, a=1), tmp_path, say=quietly)[0])
    assert len(folders) == len(work.found) == 3


def test_a_better_comment_or_docstring_is_no_reason_to_do_it_again(tmp_path: Path, code: Path) -> None:
    work = Work()
    run(step(work, code), tmp_path, say=quietly)
    code.write_text('"""Say hello, kindly."""\n\nx = 1  # a single one\n')
    run(step(work, code), tmp_path, say=quietly)
    assert len(work.found) == 1


@pytest.mark.parametrize("damage", [lambda path: path.write_text("dome"), lambda path: path.unlink()])
def test_a_result_that_was_damaged_or_lost_is_made_anew(tmp_path: Path, code: Path, damage: object) -> None:
    work = Work()
    folder, _ = run(step(work, code), tmp_path, say=quietly)
    damage(folder / "result")  # type: ignore[operator]
    run(step(work, code), tmp_path, say=quietly)
    assert (folder / "result").read_text() == "done"


def test_a_passing_failure_is_tried_again_after_longer_and_longer_waits(tmp_path: Path, code: Path) -> None:
    work, said, waits = Work(Passing("It was cut."), Passing("Again.")), list[str](), list[float]()
    run(step(work, code), tmp_path, say=said.append, sleep=waits.append)
    assert said[:2] == ["some: It was cut. Trying again, 2 of 3.", "some: Again. Trying again, 3 of 3."]
    assert waits == [2.0, 4.0]


def test_a_failure_that_does_not_pass_is_raised_after_the_last_attempt(tmp_path: Path, code: Path) -> None:
    work = Work(*(Passing(f"Number {number}.") for number in range(1, 9)))
    with pytest.raises(Passing, match=r"Number 3\."):
        run(step(work, code), tmp_path, say=quietly, sleep=lambda _: None)
    assert len(work.found) == ATTEMPTS


def test_any_other_failure_is_raised_at_once(tmp_path: Path, code: Path) -> None:
    work = Work(PermissionError("no"))
    with pytest.raises(PermissionError):
        run(step(work, code), tmp_path, say=quietly)
    assert len(work.found) == 1


def test_a_step_that_was_killed_finds_what_it_left(tmp_path: Path, code: Path) -> None:
    work = Work(KeyboardInterrupt())  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        run(step(work, code), tmp_path, say=quietly)
    run(step(work, code), tmp_path, say=quietly)
    assert work.found == [[], ["part"]]


def test_a_folders_digest_is_of_names_and_contents(tmp_path: Path) -> None:
    found = set()
    for name, content in (("a", "1"), ("a", "2"), ("b", "2")):
        folder = tmp_path / f"{name}{content}"
        folder.mkdir()
        (folder / name).write_text(content)
        found.add(digest(folder))
    assert len(found) == 3
