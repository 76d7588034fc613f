"""Training runs logged with MLflow: parameters, metrics, plots and the model file, without any word to the network."""

import logging
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read while mlflow is imported

import mlflow

from . import plots
from .catalogue import ROOT
from .metadata import Metadata
from .project import Trained

STORE = f"sqlite:///{ROOT}/mlflow.db"
ARTIFACTS = ROOT / "mlruns"


def log(trained: Trained, model: Path) -> str:
    """Log a run of a project of `mlsys.project` as `record` does. model: the file as it was written."""
    return record(trained.metadata, lambda folder: plots.save(trained, folder), model)


def record(
    metadata: Metadata, draw: Callable[[Path], object], model: Path, history: Sequence[Mapping[str, float]] = ()
) -> str:
    """Log a run under the model's name, and return the run's id.

    Runs go to `mlflow.db` and `mlruns/` in the root, or to the tracking server that MLFLOW_TRACKING_URI names.
    draw: writes plots into a folder. model: the file. history: what was measured after each epoch, from the first on.
    """
    for chatty in ("alembic", "mlflow.store.db.utils"):  # they tell of each table when the database is made
        logging.getLogger(chatty).setLevel(logging.WARNING)
    experiment = _experiment(metadata.name)
    with mlflow.start_run(experiment_id=experiment) as run, tempfile.TemporaryDirectory() as folder:
        draw(Path(folder))
        mlflow.log_params(metadata.parameters)
        mlflow.log_metrics(metadata.metrics)
        for epoch, measured in enumerate(history, 1):
            mlflow.log_metrics({f"epoch_{name}": value for name, value in measured.items()}, step=epoch)
        mlflow.set_tags({"data_sha256": metadata.data_sha256, "trainer": metadata.trainer})
        mlflow.log_artifacts(folder, "plots")
        mlflow.log_artifact(str(model))
    return str(run.info.run_id)


def _experiment(name: str) -> str:
    local = "MLFLOW_TRACKING_URI" not in os.environ
    if local:
        mlflow.set_tracking_uri(STORE)
    if found := mlflow.get_experiment_by_name(name):
        return str(found.experiment_id)
    return str(mlflow.create_experiment(name, artifact_location=(ARTIFACTS / name).as_uri() if local else None))
