import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mk import doctor
from mk.bootstrap import Home
from mk.doctor import LACKING, NOTE, OK
from mlsys.catalogue import ROOT


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "Pipfile").write_text("")
    (tmp_path / "Pipfile.lock").write_text(json.dumps({}))
    return Home(tmp_path)


def test_a_wrong_python_is_lacking_and_the_exit_code_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON", "/nowhere/python")
    assert doctor.python().state == LACKING
    assert doctor.main() == 1


def test_a_right_python_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON", sys.executable)
    assert (doctor.python().state, doctor.python().found) == (OK, sys.executable)


def test_before_the_first_install_it_says_what_will_make_each_thing(home: Home) -> None:
    found = [doctor.pipenv(home), doctor.environment(home), doctor.models(home)]
    assert [one.state for one in found] == [NOTE, NOTE, NOTE]
    assert all("make run" in one.hint for one in found)


def test_an_environment_of_another_lock_is_stale(home: Home) -> None:
    (home.venv / "bin").mkdir(parents=True)
    home.python.symlink_to(sys.executable)
    home.record({"packages", "local"})
    assert (doctor.environment(home).state, doctor.environment(home).found) == (OK, "local packages")
    (home.root / "Pipfile.lock").write_text(json.dumps({"changed": True}))
    assert "older than Pipfile.lock" in doctor.environment(home).found


def test_pipenv_of_the_pinned_version_is_seen(home: Home) -> None:
    home.pipenv_complete.parent.mkdir(parents=True)
    home.pipenv_complete.touch()
    assert doctor.pipenv(home).state == OK


def test_missing_models_are_named_with_what_to_type(home: Home) -> None:
    for package in ("mlsys", "chapter2_training"):
        shutil.copytree(ROOT / package, home.root / package, ignore=shutil.ignore_patterns("__pycache__"))
    (home.venv / "bin").mkdir(parents=True)
    home.python.symlink_to(sys.executable)
    home.record({"packages"})
    found = doctor.models(home)
    assert (found.state, found.hint) == (NOTE, "make models")
    assert "iris_svc" in found.found


def test_a_busy_port_is_a_note_with_what_to_type() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        found = doctor.port(port, "make run PORT=8001")
        assert (found.state, found.found, found.hint) == (NOTE, "Address already in use", "make run PORT=8001")
    assert doctor.port(port, "make run PORT=8001").state == OK


def test_a_program_is_found_on_the_path_or_its_use_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.program("wrk", "make bench").hint == "needed for make bench"
    (tmp_path / "wrk").touch(mode=0o755)
    assert doctor.program("wrk", "make bench").found == str(tmp_path / "wrk")


def test_it_needs_nothing_that_is_not_in_the_standard_library() -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-m", "mk.doctor"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert "Python 3.11" in done.stdout, done.stderr
    assert done.stdout.endswith("make run can work here.\n")
