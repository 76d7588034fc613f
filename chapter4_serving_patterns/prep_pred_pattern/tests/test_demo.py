"""The demo, run against the real services."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mlsys import pictures
from mlsys.ports import free_port
from mlsys.testing import Server, eventually, run_demo

PACKAGE = "chapter4_serving_patterns.prep_pred_pattern"

pytestmark = pytest.mark.e2e


def test_it_shows_photographs_refusals_and_what_each_half_takes(
    start: Callable[..., Server],
    serve_models: Callable[[Path, int, int], "subprocess.Popen[bytes]"],
    models: Path,
    cat: Path,
) -> None:
    port = free_port()
    serve_models(models / "cifar10_large", free_port(), port)
    server = start(f"{PACKAGE}.app:create_app", MODEL_TARGET=f"127.0.0.1:{port}", SAMPLE_PATH=str(cat))
    eventually(server.is_ready, deadline_s=20)
    shown = run_demo(PACKAGE, server.url)
    assert (shown.returncode, shown.stderr) == (0, "")
    for expected in (
        *pictures.NAMES,
        " 413 ",
        " 415 ",
        " 422 ",
        "300 predictions of the cat: p50 ",
        "ms decoding and ",
    ):
        assert expected in shown.stdout
