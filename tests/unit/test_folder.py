"""What the launcher writes into a pattern's folder, and what it removes there."""

from pathlib import Path

import pytest

from mlsys import folder
from mlsys.errors import StartupError


def test_a_runtime_folder_is_made_once_and_found_again(tmp_path: Path) -> None:
    assert folder.make_runtime(tmp_path) == folder.make_runtime(tmp_path) == tmp_path / ".run"
    assert list((tmp_path / ".run").iterdir()) == []


def test_a_runtime_folder_that_cannot_be_made_is_named_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / ".run").touch()
    with pytest.raises(StartupError, match=rf"^{tmp_path}/\.run cannot be written \(File exists\): run a copy"):
        folder.make_runtime(tmp_path)


def test_the_sweep_takes_metrics_and_leaves_the_rest(tmp_path: Path) -> None:
    (folder.make_runtime(tmp_path) / "metrics-a1").mkdir()
    (tmp_path / ".run" / "metrics-a1" / "counter_1.db").touch()
    (tmp_path / ".run" / "demo.log").touch()
    folder.sweep(tmp_path)
    assert [path.name for path in (tmp_path / ".run").iterdir()] == ["demo.log"]


def test_before_the_first_run_there_is_nothing_to_sweep(tmp_path: Path) -> None:
    folder.sweep(tmp_path)
