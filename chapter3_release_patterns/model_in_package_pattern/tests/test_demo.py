"""The demo, run against the real service, and against what is none."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlsys.catalogue import ROOT
from mlsys.testing import Server, free_port

from ..install import install
from ..releases import Release
from .conftest import OLD, PACKAGE

pytestmark = pytest.mark.e2e


def demo(url: str, home: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", f"{PACKAGE}.demo"]
    environment = os.environ | {"URL": url, "COLUMNS": "80", "TMPDIR": str(home)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_it_shows_two_versions_side_by_side_and_the_way_back_and_leaves_nothing(
    serve: Callable[..., Server], wheels: dict[Release, Path], tmp_path: Path
) -> None:
    install([wheels[OLD]], tmp_path / "site")
    path = os.pathsep.join([str(ROOT), str(tmp_path / "site")])
    server = serve(f"{PACKAGE}.app:create_app", PYTHONPATH=path, ACCESS_LOG="false")
    (home := tmp_path / "home").mkdir()
    shown = demo(server.url, home)
    assert (shown.returncode, shown.stderr) == (0, "")
    versions = [line.split("│")[3].strip() for line in shown.stdout.splitlines() if "iris_svc" in line and "│" in line]
    assert versions == [OLD.version, OLD.version, "1.2.0+iris.2026.11", OLD.version]
    assert "downgrade: install the old wheel" in shown.stdout
    assert list(home.iterdir()) == []


def test_an_address_of_another_form_is_refused_with_one_sentence(tmp_path: Path) -> None:
    refused = demo("nonsense", tmp_path)
    assert (refused.returncode, refused.stderr) == (1, "URL=nonsense is not of the form http://host:port.\n")


def test_a_service_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    refused = demo(url, tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"URL={url} does not answer: ")
    assert refused.stderr.count("\n") == 1
