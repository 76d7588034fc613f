"""The demo, run against the real services, and against what is none."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlsys import pictures
from mlsys.catalogue import ROOT
from mlsys.testing import Server, eventually, free_port

PACKAGE = "chapter4_serving_patterns.prep_pred_pattern"

pytestmark = pytest.mark.e2e


def demo(url: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", f"{PACKAGE}.demo"]
    environment = os.environ | {"URL": url, "COLUMNS": "160"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=100)


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
    shown = demo(server.url)
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


@pytest.mark.parametrize("url", ["nonsense", "https://127.0.0.1", "http://127.0.0.1:8000/path"])
def test_an_address_of_another_form_is_refused_with_one_sentence(url: str) -> None:
    refused = demo(url)
    assert (refused.returncode, refused.stderr) == (1, f"URL={url} is not of the form http://host:port.\n")


def test_a_service_that_does_not_answer_is_one_sentence() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    refused = demo(url)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"URL={url} does not answer: ")
    assert refused.stderr.count("\n") == 1
