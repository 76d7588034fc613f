"""The demo, run against the real service."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mlsys.catalogue import ROOT
from mlsys.testing import Server, run_demo

from ..install import install
from ..releases import Release
from .conftest import OLD, PACKAGE

pytestmark = pytest.mark.e2e


def test_it_shows_two_versions_side_by_side_and_the_way_back_and_leaves_nothing(
    serve: Callable[..., Server], wheels: dict[Release, Path], tmp_path: Path
) -> None:
    install([wheels[OLD]], tmp_path / "site")
    path = os.pathsep.join([str(ROOT), str(tmp_path / "site")])
    server = serve(f"{PACKAGE}.app:create_app", PYTHONPATH=path, ACCESS_LOG="false")
    (home := tmp_path / "home").mkdir()
    shown = run_demo(PACKAGE, server.url, TMPDIR=str(home))
    assert (shown.returncode, shown.stderr) == (0, "")
    versions = [line.split("│")[3].strip() for line in shown.stdout.splitlines() if "iris_svc" in line and "│" in line]
    assert versions == [OLD.version, OLD.version, "1.2.0+iris.2026.11", OLD.version]
    assert "downgrade: install the old wheel" in shown.stdout
    assert list(home.iterdir()) == []
