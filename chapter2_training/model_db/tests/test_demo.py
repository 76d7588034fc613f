"""The demo, and trainings that register themselves, against the real service."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from mlsys.catalogue import ROOT
from mlsys.registry import Registry
from mlsys.testing import Server

from .conftest import TOKEN

PACKAGE = "chapter2_training.model_db"

pytestmark = pytest.mark.e2e


@pytest.fixture
def server(serve: Callable[..., Server], registry_url: str, tmp_path: Path) -> Server:
    artefacts = str(tmp_path / "artefacts")
    return serve(f"{PACKAGE}.app:create_app", DATABASE_URL=registry_url, ARTEFACTS_URL=artefacts, REGISTRY_TOKEN=TOKEN)


def run(*command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    given = os.environ | {"REGISTRY_TOKEN": TOKEN, **environment}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=given, capture_output=True, text=True, check=False, timeout=120
    )


def demo(url: str, token: str = TOKEN) -> "subprocess.CompletedProcess[str]":
    return run(f"{PACKAGE}.demo", URL=url, REGISTRY_TOKEN=token)


def test_it_registers_promotes_is_refused_and_rolls_back(server: Server) -> None:
    shown = demo(server.url)
    assert (shown.returncode, shown.stderr) == (0, "")
    for expected in (
        "│ 1.0.0-iris.1 │ 0.822    │",
        "│ 1.0.1-iris.1 │ 0.978    │",
        "Refused: accuracy of 1.0.0-iris.1 is 0.822222, that of 1.0.1-iris.1 0.977778; it may lose 0.",
        "After one rollback 1.0.0-iris.1 is champion: ",
        " it was 1.0.1-iris.1.",
        "│ rollback │ 1.0.1-iris.1 │ 1.0.0-iris.1 │ demo │ a caller complains │",
    ):
        assert expected in shown.stdout
    assert demo(server.url).returncode == 0, "a demo that can be shown once"


def test_without_the_token_it_is_one_sentence(server: Server) -> None:
    refused = demo(server.url, "wrong")
    assert refused.returncode == 1
    assert refused.stderr.endswith(" says: The bearer token is not the one of this registry.\n")
    assert refused.stderr.count("\n") == 1


def test_a_training_registers_its_file_once_and_a_changed_one_as_the_next_patch(server: Server, tmp_path: Path) -> None:
    def trained(*more: str) -> str:
        command = ["mlsys.train", "iris_outlier", "--output", str(tmp_path / "models"), "--registry", server.url, *more]
        done = run(*command)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()[-1]

    assert trained() == f"  registered as iris_outlier 1.0.0-iris.1 in {server.url}"
    assert trained() == f"  there already as iris_outlier 1.0.0-iris.1 in {server.url}"
    assert trained("--test_size", "0.2") == f"  registered as iris_outlier 1.0.1-iris.2 in {server.url}"
    with_token = Registry(server.url, SecretStr(TOKEN))
    model_id = with_token.model_id("iris_sklearn_outlier", "iris_outlier")
    first, second = with_token.versions(model_id)
    with_token.promote(model_id, "champion", second.version, who="test", why="it is newer")
    anybody = Registry(server.url)
    path = anybody.fetch(anybody.alias("iris_outlier", "champion"), tmp_path / "fetched")
    assert path.read_bytes() == (tmp_path / "models" / "iris_outlier" / "model.onnx").read_bytes()
    assert first.sha256 != second.sha256 == path.stem
    for registry in (with_token, anybody):
        registry.close()
