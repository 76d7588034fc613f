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


def test_the_sweep_takes_a_demos_data_but_not_those_of_the_demo_that_begins(tmp_path: Path) -> None:
    for name in ("demo-left", "demo-begins"):
        (folder.make_runtime(tmp_path) / name / "postgres").mkdir(parents=True)
    folder.sweep(tmp_path, keep=tmp_path / ".run" / "demo-begins")
    assert [path.name for path in (tmp_path / ".run").iterdir()] == ["demo-begins"]


def test_the_steps_of_a_procfile_are_those_named_release(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("release: one\nweb: two\nrelease_two: three\n")
    assert folder.steps(folder.commands(tmp_path)) == {"release": "one", "release_two": "three"}


def test_settings_are_those_of_every_package_that_the_procfile_names_read_without_an_import(tmp_path: Path) -> None:
    for name, text in (
        ("own", "    port: int = 1\n"),
        ("other", "    database_url: Annotated[\n        str, 1\n    ]\n"),
    ):
        (tmp_path / "chapter9" / name).mkdir(parents=True)
        (tmp_path / "chapter9" / name / "settings.py").write_text(f"raise KeyError\nclass Settings:\n{text}")
    own = tmp_path / "chapter9" / "own"
    (own / "Procfile").write_text("web: A=chapter9.absent.x python -m mlsys.serve chapter9.own.app:create_app\n")
    assert folder.settings(own) == {"port"}
    with (own / "Procfile").open("a") as procfile:
        procfile.write("release: python -m chapter9.other.migrate\n")
    assert folder.settings(own) == {"port", "database_url"}


def test_settings_are_found_in_packages_of_any_name(tmp_path: Path) -> None:
    own = tmp_path / "services" / "own"
    own.mkdir(parents=True)
    (own / "Procfile").write_text("web: python -m mlsys.serve services.own.app:create_app\n")
    (own / "settings.py").write_text("class Settings:\n    redis_url: str\n")
    assert folder.settings(own) == {"redis_url"}


def test_before_the_first_run_there_is_nothing_to_sweep(tmp_path: Path) -> None:
    folder.sweep(tmp_path)
