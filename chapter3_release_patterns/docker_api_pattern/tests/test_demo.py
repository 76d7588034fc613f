"""The demo, run against the real service."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlsys.testing import Server, run_demo

PACKAGE = "chapter3_release_patterns.docker_api_pattern"

pytestmark = pytest.mark.e2e


def test_it_shows_each_species_and_the_refusals(serve: Callable[..., Server], models: Path) -> None:
    server = serve(
        f"{PACKAGE}.app:create_app", MODEL_PATH=str(models / "iris_perceptron" / "model.onnx"), ACCESS_LOG="false"
    )
    shown = run_demo(PACKAGE, server.url)
    assert (shown.returncode, shown.stderr) == (0, "")
    for expected in ("setosa", "versicolor", "virginica", " 422 ", " 400 "):
        assert expected in shown.stdout
