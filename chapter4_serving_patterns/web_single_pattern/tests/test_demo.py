"""The demo, run against the real service."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlsys.testing import Server, run_demo

PACKAGE = "chapter4_serving_patterns.web_single_pattern"

pytestmark = pytest.mark.e2e


def test_it_shows_three_labels_the_refusals_and_the_latency(serve: Callable[..., Server], models: Path) -> None:
    server = serve(f"{PACKAGE}.app:create_app", MODEL_PATH=str(models / "iris_svc" / "model.onnx"), ACCESS_LOG="false")
    shown = run_demo(PACKAGE, server.url)
    assert (shown.returncode, shown.stderr) == (0, "")
    for expected in (
        "setosa",
        "versicolor",
        "virginica",
        " 422 ",
        " 400 ",
        "2,000 predictions one after another: p50 ",
    ):
        assert expected in shown.stdout
