"""The demo, run against the real service, and against what is none."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlsys.catalogue import ROOT
from mlsys.testing import Server, free_port

PACKAGE = "chapter3_release_patterns.docker_api_pattern"

pytestmark = pytest.mark.e2e


def demo(url: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", f"{PACKAGE}.demo"]
    environment = os.environ | {"URL": url, "COLUMNS": "160"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_it_shows_each_species_and_the_refusals(serve: Callable[..., Server], models: Path) -> None:
    server = serve(
        f"{PACKAGE}.app:create_app", MODEL_PATH=str(models / "iris_perceptron" / "model.onnx"), ACCESS_LOG="false"
    )
    shown = demo(server.url)
    assert (shown.returncode, shown.stderr) == (0, "")
    for expected in ("setosa", "versicolor", "virginica", " 422 ", " 400 "):
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
