"""Rows for the tests of the pages, written without HTTP and without model files."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from mlsys.database import Database

from .. import promotions
from ..naming import VersionName
from ..tables import Experiment, Model, Project, Version

Row = TypeVar("Row", Project, Model, Version, Experiment)
INPUT = {"name": "input", "datatype": "FP32", "shape": [-1, 4]}
OUTPUTS = [
    {"name": "label", "datatype": "INT64", "shape": [-1]},
    {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
]
GATE = {"rules": [{"metric": "accuracy", "at_least": 0.9, "may_lose": 0.0}]}


def project(session: Session, name: str, description: str = "") -> Project:
    """A new project."""
    return _added(session, Project(name=name, description=description))


def model(session: Session, of: Project, name: str, description: str = "", gate: Mapping[str, Any] = GATE) -> Model:
    """A new model."""
    return _added(session, Model(project_id=of.id, name=name, description=description, gate=dict(gate)))


def version(session: Session, of: Model, name: str, metrics: Mapping[str, float], **more: Any) -> Version:  # noqa: ANN401
    """A new version; `more` are columns."""
    columns: dict[str, Any] = {
        "sha256": hashlib.sha256(f"{of.name} {name}".encode()).hexdigest(),
        "size_bytes": 23_456,
        "inputs": [INPUT],
        "outputs": OUTPUTS,
        "document": {"labels": ["setosa", "versicolor", "virginica"]},
        "data_sha256": hashlib.sha256(VersionName.parse(name).data.encode()).hexdigest(),
        "code_revision": "8d9c1f2ab4",
        "parameters": {"C": 1.0, "kernel": "rbf", "stratified": True, "memory": None},
    }
    fields = VersionName.parse(name)._asdict()
    return _added(session, Version(model_id=of.id, name=name, metrics=dict(metrics), **fields, **columns | more))


def promoted(
    session: Session, of: Version, alias: str = "champion", why: str = "better", who: str = "ada", override: str = ""
) -> None:
    """Let the alias name the version."""
    promotions.promote(session, of.model_id, alias, str(of.id), {"who": who, "why": why}, override or None)


def iris(database: Database) -> Sequence[uuid.UUID]:
    """A project as it looks after some weeks. The ids of the versions of `iris_svc`, the oldest first."""
    with database.session() as session:
        training = project(session, "chapter2_training", "The training projects of chapter 2.")
        svc = model(session, training, "iris_svc", "Support vector classifier of Iris flowers.")
        quality = [
            (0.911, 0.31),
            (0.925, 0.27),
            (0.933, 0.24),
            (0.931, 0.25),
            (0.952, 0.18),
            (0.958, 0.15),
            (0.951, 0.14),
        ]
        names = [
            "1.0.0-iris.1",
            "1.0.1-iris.1",
            "1.1.0-iris.1",
            "1.1.1-iris.1",
            "1.2.0-iris.2",
            "1.2.1-iris.2",
            "1.3.0-iris.2",
        ]
        rows: list[Version] = []
        for name, (accuracy, loss) in zip(names, quality, strict=True):
            metrics = {
                "accuracy": accuracy,
                "log_loss": loss,
                "recall_setosa": 1.0,
                "recall_virginica": accuracy - 0.02,
            }
            rows.append(version(session, svc, name, metrics, parent_id=rows[-1].id if rows else None))
        wide = [INPUT | {"shape": [-1, 5]}]
        rows.append(version(session, svc, "2.0.0-iris.2", {"accuracy": 0.963, "log_loss": 0.12}, inputs=wide))
        promoted(session, rows[0], why="first")
        promoted(session, rows[5], why="better on the new split")
        promoted(session, rows[6], who="grace", why="answers in half the time", override="agreed with the shop")
        promotions.roll_back(session, svc.id, "champion", {"who": "ada", "why": "wrong labels were reported"})
        promoted(session, rows[7], "challenger", who="grace", why="shadow test")
        _added(
            session,
            Experiment(
                model_id=svc.id,
                model_version_id=rows[5].id,
                parameters={"C": 1.0},
                training_dataset="iris/2/train.csv",
                validation_dataset=None,
                test_dataset="iris/2/test.csv",
                evaluations={"accuracy": 0.958},
                artifact_file_paths={"plot": "plots/confusion.png"},
            ),
        )
        forest = model(session, training, "iris_rf", "Random forest of Iris flowers.")
        version(session, forest, "1.0.0-iris.1", {"accuracy": 0.94})
        project(session, "vision", "Nothing yet.")
        return [row.id for row in rows]


def _added(session: Session, row: Row) -> Row:
    session.add(row)
    session.flush()
    return row
