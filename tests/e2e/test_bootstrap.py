"""The environment's making and its refusals. Real installs cost half a minute: `.ci/run` does one, on a clean clone."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mk.bootstrap import PIPENV_VERSION, Home
from mlsys.catalogue import ROOT
from mlsys.ports import free_port
from mlsys.testing import eventually

pytestmark = pytest.mark.e2e
PIPENV = """#!/bin/sh
echo "$@" >> calls
mkdir -p .venv/bin && ln -sf {python} .venv/bin/python && {sync}
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    for name in ("Pipfile", "Pipfile.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "mk", tmp_path / "mk", ignore=shutil.ignore_patterns("__pycache__"))
    return Home(tmp_path)


def give_pipenv(home: Home, *, sync: str = "true") -> None:
    """Put a program in pipenv's place that notes its arguments and does as told."""
    home.pipenv.parent.mkdir(parents=True, exist_ok=True)
    home.pipenv.write_text(PIPENV.format(python=sys.executable, sync=sync))
    home.pipenv.chmod(0o755)
    home.pipenv_complete.touch()


def start(home: Home, *categories: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "mk.bootstrap", *categories],
        cwd=home.root,
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def bootstrap(home: Home, *categories: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    process = start(home, *categories, **environment)
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


def calls(home: Home) -> list[str]:
    return (home.root / "calls").read_text().splitlines()


def test_what_is_installed_is_not_installed_again(home: Home) -> None:
    give_pipenv(home)
    code, output, errors = bootstrap(home, "packages", "local")
    assert (code, errors) == (0, "")
    assert "installing into .venv: local, packages\n" in output
    before = calls(home)
    assert bootstrap(home, "packages") == (0, "", "")
    assert calls(home) == before


def test_another_category_is_added_to_those_that_are_there(home: Home) -> None:
    give_pipenv(home)
    bootstrap(home, "packages")
    bootstrap(home, "dev-packages")
    assert calls(home)[-1].endswith("sync --categories dev-packages packages")
    assert home.installed() == {"packages", "dev-packages"}


def test_a_changed_lock_is_installed(home: Home) -> None:
    give_pipenv(home)
    bootstrap(home, "packages")
    lock = json.loads((home.root / "Pipfile.lock").read_text())
    (home.root / "Pipfile.lock").write_text(json.dumps(lock))
    assert home.installed() == set()
    bootstrap(home, "packages")
    assert home.installed() == {"packages"}


def test_pipenv_builds_for_the_python_that_was_found_and_not_for_an_active_environment(home: Home) -> None:
    give_pipenv(home, sync="env > environment")
    bootstrap(home, "packages", VIRTUAL_ENV="/elsewhere", PYTHONPATH="/elsewhere")
    assert calls(home)[0].split()[:2] == ["--python", str(Path(sys.executable).resolve())]
    given = (home.root / "environment").read_text()
    assert "elsewhere" not in given
    assert "PIPENV_VENV_IN_PROJECT=1" in given


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_install_ends_its_processes_and_is_begun_anew(home: Home, number: signal.Signals) -> None:
    give_pipenv(home, sync="echo $$ > pid && sleep 60")
    process = start(home, "packages")
    noted = home.root / "pid"
    pid = eventually(lambda: noted.read_text().strip() if noted.exists() else "", deadline_s=10)
    process.send_signal(number)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert errors.strip() == "The install was interrupted; the next make begins it anew."
    eventually(lambda: not Path(f"/proc/{pid}/fd/0").exists(), deadline_s=5)
    give_pipenv(home, sync="ls .venv > seen; touch done")
    (home.venv / "broken").touch()
    assert bootstrap(home, "packages")[0] == 0
    assert "broken" not in (home.root / "seen").read_text()


def test_a_second_install_waits_for_the_first_and_finds_it_done(home: Home) -> None:
    give_pipenv(home, sync="touch begun; while ! test -e go; do sleep 0.02; done")
    first = start(home, "packages")
    eventually((home.root / "begun").exists, deadline_s=10)
    second = start(home, "packages")
    assert second.stdout
    assert second.stdout.readline() == "another make is installing; waiting for it\n"
    (home.root / "go").touch()
    assert [process.communicate(timeout=20)[1] for process in (first, second)] == ["", ""]
    assert len([call for call in calls(home) if "sync" in call]) == 1


def test_no_network_on_the_first_install_is_one_sentence(home: Home) -> None:
    code, _, errors = bootstrap(
        home,
        "packages",
        PIP_CONFIG_FILE=os.devnull,
        PIP_INDEX_URL=f"http://127.0.0.1:{free_port()}/simple",
        PIP_RETRIES="0",
    )
    assert code == 1
    assert errors == (
        f"Cannot install: pipenv {PIPENV_VERSION} could not be installed "
        f"(nothing came from the package index: is there a network?); details in {home.log}.\n"
    )
    assert home.log.exists()


def test_packages_that_cannot_be_had_are_one_sentence_and_nothing_is_recorded(home: Home) -> None:
    give_pipenv(home, sync="echo a hash differs && false")
    code, _, errors = bootstrap(home, "packages")
    assert (code, errors) == (1, f"Cannot install: the packages could not be installed; details in {home.log}.\n")
    assert home.log.read_text() == "a hash differs\n"
    assert home.installed() == set()


def test_a_lock_that_does_not_match_is_refused_before_anything_is_installed(home: Home) -> None:
    pipfile = home.root / "Pipfile"
    pipfile.write_text(pipfile.read_text().replace("[packages]", '[packages]\nNew_Package = "*"'))
    code, _, errors = bootstrap(home, "packages")
    assert code == 1
    assert errors == ("Cannot install: Pipfile.lock does not match Pipfile, it lacks New_Package: run `make lock`.\n")
    assert not home.tools.exists()


def test_a_lock_with_the_marks_of_a_merge_is_refused(home: Home) -> None:
    (home.root / "Pipfile.lock").write_text("<<<<<<< HEAD\n{}")
    code, _, errors = bootstrap(home, "packages")
    assert code == 1
    assert errors.startswith("Cannot install: Pipfile.lock is not JSON (")
    assert errors.endswith("): restore it from git, or run `make lock`.\n")


def test_a_wrong_python_is_refused_with_what_it_is(home: Home) -> None:
    old = home.root / "python3"
    old.write_text("#!/bin/sh\necho 3 9\n")
    old.chmod(0o755)
    code, _, errors = bootstrap(home, "packages", PYTHON=str(old))
    assert code == 1
    assert errors.startswith(f"Cannot install: Python 3.11 is needed, and {old} is 3.9: install it (apt install")
    assert errors.count("\n") == 1


def test_a_python_that_does_not_run_is_refused(home: Home) -> None:
    code, _, errors = bootstrap(home, "packages", PYTHON="/nowhere/python")
    assert code == 1
    assert "/nowhere/python is no program that runs" in errors


def test_a_python_without_venv_is_refused_with_the_package_to_install(home: Home) -> None:
    bare = home.root / "python3"
    bare.write_text('#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; *) echo 3 11;; esac\n')
    bare.chmod(0o755)
    code, _, errors = bootstrap(home, "packages", PYTHON=str(bare))
    assert code == 1
    assert errors == f"Cannot install: {bare} has no venv module: apt install python3.11-venv, then run make again.\n"


def test_a_place_that_cannot_be_written_is_one_sentence(home: Home) -> None:
    home.tools.write_text("in the way")
    code, _, errors = bootstrap(home, "packages")
    assert code == 1
    assert errors == f"Cannot install: {home.tools}: File exists.\n"
