"""The verbs of a training project: what is typed reaches the command, and the pages about the runs end quietly."""

import subprocess
from pathlib import Path

import psutil
import pytest

from mlsys.testing import eventually

from .house import House, Terminal

pytestmark = pytest.mark.e2e


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return House(tmp_path).project("some_project")


def train(project: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = ["make", "train", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=30)


def test_parameters_are_given_as_they_stand(project: Path) -> None:
    given = train(project, "test_size=0.2", "target_iris=setosa").stdout.split()
    assert sorted([given[:2], given[2:]]) == [["--target_iris", "setosa"], ["--test_size", "0.2"]]
    assert train(project).stdout == "\n"


def test_an_output_folder_is_one_as_seen_from_where_it_was_typed(project: Path) -> None:
    assert train(project, "output=out").stdout == f"--output {project}/out\n"
    assert train(project, "output=/elsewhere").stdout == "--output /elsewhere\n"


@pytest.mark.parametrize("typed", ["save=yes", "save="])
def test_save_is_a_flag(project: Path, typed: str) -> None:
    assert train(project, typed).stdout == "--save\n"


def test_save_is_yes_or_left_out(project: Path) -> None:
    done = train(project, "save=no")
    assert (done.returncode, done.stdout) == (2, "")
    assert "save=no is neither save=yes nor left out" in done.stderr


def test_the_pages_about_the_runs_are_few_processes_and_end_quietly(project: Path) -> None:
    terminal = Terminal(["make", "ui"], project)
    terminal.shows(f"See http://127.0.0.1:{terminal.port}/#/experiments ")
    eventually(lambda: "Uvicorn running" in terminal.read(), deadline_s=60)
    started = psutil.Process(terminal.pid).children(recursive=True)
    assert len(started) <= 3
    terminal.press_ctrl_c()
    terminal.ended()
    assert psutil.wait_procs(started, timeout=10)[1] == []
    assert "Traceback" not in terminal.shown
    assert "***" not in terminal.shown, "make reports an error where there was none"
