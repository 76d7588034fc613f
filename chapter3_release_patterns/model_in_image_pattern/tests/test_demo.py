"""The demo, run against the real service."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlsys.testing import Server, run_demo

PACKAGE = "chapter3_release_patterns.model_in_image_pattern"

pytestmark = pytest.mark.e2e


def test_it_shows_who_serves_and_which_models_are_refused(serve: Callable[..., Server], model: Path) -> None:
    server = serve(f"{PACKAGE}.app:create_app", MODEL_PATH=str(model), ACCESS_LOG="false")
    shown = run_demo(PACKAGE, server.url)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"{server.url} serves iris_svc " in shown.stdout
    rows = {row.split("│")[1].strip(): row for row in shown.stdout.splitlines() if row.startswith("│")}
    assert "serves" in rows["its own"]
    assert "exit code 3" in rows["one bit flipped"]
    assert "exit code 3" in rows["iris_rf, as good"]
