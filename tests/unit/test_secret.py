"""Secrets of a pattern: random, made once, readable by their owner alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlsys import secret
from mlsys.catalogue import ROOT
from mlsys.errors import StartupError


def test_a_secret_is_made_once_and_a_name_that_is_new_is_added(tmp_path: Path) -> None:
    secret.make(tmp_path, ["TOKEN"])
    first = secret.read(tmp_path)
    secret.make(tmp_path, ["TOKEN", "PASSWORD"])
    assert secret.read(tmp_path)["TOKEN"] == first["TOKEN"]
    assert set(secret.read(tmp_path)) == {"TOKEN", "PASSWORD"}
    assert secret.path(tmp_path).stat().st_mode & 0o777 == 0o600


def test_two_secrets_are_different_and_fit_into_a_url(tmp_path: Path) -> None:
    secret.make(tmp_path, ["ONE", "TWO"])
    values = secret.read(tmp_path)
    assert values["ONE"] != values["TWO"]
    assert all(len(value) == 32 and value.isalnum() for value in values.values())


def test_a_pattern_without_secrets_has_none(tmp_path: Path) -> None:
    assert secret.read(tmp_path) == {}


def test_what_the_environment_has_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret.make(tmp_path, ["MLSYS_TEST_ONE", "MLSYS_TEST_TWO"])
    monkeypatch.setenv("MLSYS_TEST_ONE", "mine")
    monkeypatch.setenv("MLSYS_TEST_TWO", "")
    monkeypatch.delenv("MLSYS_TEST_TWO")
    secret.export(tmp_path)
    assert os.environ["MLSYS_TEST_ONE"] == "mine"
    assert os.environ["MLSYS_TEST_TWO"] == secret.read(tmp_path)["MLSYS_TEST_TWO"]
    monkeypatch.delenv("MLSYS_TEST_TWO")


def test_the_command_makes_them_and_prints_none(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mlsys.secret", str(tmp_path), "TOKEN"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert set(secret.read(tmp_path)) == {"TOKEN"}


def test_a_folder_that_cannot_be_written_is_refused_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / ".run").touch()
    command = [sys.executable, "-m", "mlsys.secret", str(tmp_path), "TOKEN"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Cannot start: {tmp_path}/.run cannot be written")


def test_an_empty_list_makes_an_empty_file(tmp_path: Path) -> None:
    secret.make(tmp_path, [])
    assert secret.read(tmp_path) == {}
    with pytest.raises(StartupError):
        secret.make(tmp_path / "missing" / "folder", ["TOKEN"])
