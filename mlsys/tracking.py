"""Training runs logged with MLflow: parameters, metrics, plots and the model file, without any word to the network."""

import logging
import os
import tempfile
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read while mlflow is imported

import mlflow

from . import plots
from .catalogue import ROOT
from .project import Trained

STORE = f"sqlite:///{ROOT}/mlflow.db"
ARTIFACTS = ROOT / "mlruns"


def log(trained: Trained, model: Path) -> str:
    """Log the run under the model's name, and return the run's id.

    Runs go to `mlflow.db` and `mlruns/` in the root, or to the tracking server that MLFLOW_TRACKING_URI names.
    model: the file as it was written.
    """
    for chatty in ("alembic", "mlflow.store.db.utils"):  # they tell of each table when the database is made
        logging.getLogger(chatty).setLevel(logging.WARNING)
    experiment = _experiment(trained.project.name)
    with mlflow.start_run(experiment_id=experiment) as run, tempfile.TemporaryDirectory() as folder:
        plots.save(trained, Path(folder))
        mlflow.log_params(trained.metadata.parameters)
        mlflow.log_metrics(trained.metadata.metrics)
        mlflow.set_tags({"data_sha256": trained.metadata.data_sha256, "trainer": trained.metadata.trainer})
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
