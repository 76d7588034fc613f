"""A run on a project's own command is in MLflow's store: parameters, metrics, plots and the very file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlsys.catalogue import ROOT
from mlsys.model import Model

READ = """
import json, sys
from mlflow import MlflowClient
client = MlflowClient()
experiment = client.get_experiment_by_name("iris_outlier")
run, = client.search_runs([experiment.experiment_id])
files = [file.path for folder in ("", "plots") for file in client.list_artifacts(run.info.run_id, folder or None)]
model = client.download_artifacts(run.info.run_id, "model.onnx")
print(json.dumps([run.data.params, run.data.metrics, run.data.tags, files, model]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the outlier project was trained with tracking, store and model file included."""
    folder = tmp_path_factory.mktemp("tracked")
    result = tracked(folder, "-m", "chapter2_training.iris_sklearn_outlier.train", "--output", str(folder))
    (folder / "output").write_text(result.stdout + result.stderr)
    return folder


def tracked(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, timeout=120, check=True)


def test_the_run_holds_parameters_metrics_plots_and_the_file(folder: Path) -> None:
    parameters, metrics, tags, files, model = json.loads(tracked(folder, "-c", READ).stdout)
    built = Model.load(folder / "iris_outlier" / "model.onnx")
    assert parameters == {name: str(value) for name, value in built.metadata.parameters.items()}
    assert metrics == pytest.approx(built.metadata.metrics)
    assert tags["data_sha256"] == built.metadata.data_sha256
    assert sorted(files) == ["model.onnx", "plots", "plots/iris_outlier_regions.png", "plots/iris_outlier_scores.png"]
    assert Path(model).read_bytes() == built.path.read_bytes()


def test_tracking_changes_nothing_in_the_file(folder: Path, models: Path) -> None:
    name = Path("iris_outlier") / "model.onnx"
    assert (folder / name).read_bytes() == (models / name).read_bytes()


def test_the_command_tells_every_metric_and_the_run_and_nothing_of_databases(folder: Path) -> None:
    lines = (folder / "output").read_text().splitlines()
    metrics = Model.load(folder / "iris_outlier" / "model.onnx").metadata.metrics
    assert lines[0].startswith("iris_outlier: built in ")
    assert sorted(line.split()[0] for line in lines[1:-1]) == sorted(metrics)
    assert lines[-1].startswith("  MLflow run ")
