"""The routes of experiments: training runs, with what is found out about them later."""

import uuid
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Path
from pydantic import Field
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute

from mlsys.database import Database
from mlsys.openapi import example

from . import answers, examples, listing, records
from .access import MayWrite
from .fields import Body, Document, Id, Text
from .models import ModelId
from .projects import ProjectId
from .shapes import ExperimentAnswer
from .tables import Experiment, Model, Project, Version
from .versions import VersionId

ExperimentId = Annotated[uuid.UUID, Path(description="The experiment's id.", examples=[examples.EXPERIMENT_ID])]
_EVALUATIONS = {"evaluations": {"accuracy": 0.96}}
_PATHS = {"artifact_file_paths": {"model": "models/iris_svc/model.onnx"}}
_NEW = {
    "model_id": examples.MODEL_ID,
    "parameters": {"test_size": 0.3},
    "training_dataset": "iris.2/train",
    "test_dataset": "iris.2/test",
    **_EVALUATIONS,
    **_PATHS,
}
Row = TypeVar("Row", Project, Model, Version)
_PAGE = "A page of them; the `Link` header names the next."


class NewExperiment(Body):
    """A training run. model_version_id: uuid or name of the version that came of it, if one did."""

    model_id: Id
    model_version_id: Text | None = None
    parameters: Document = Field(default_factory=dict)
    training_dataset: Text | None = None
    validation_dataset: Text | None = None
    test_dataset: Text | None = None
    evaluations: Document = Field(default_factory=dict)
    artifact_file_paths: Document = Field(default_factory=dict)


class Evaluations(Body):
    """Evaluations that are added; one of a key that is there is replaced."""

    evaluations: Document


class Paths(Body):
    """Paths that are added; one of a key that is there is replaced."""

    artifact_file_paths: Document


def add_experiments(api: APIRouter, database: Database, may_write: MayWrite) -> None:
    """GET and POST below /experiments."""
    writing = [Depends(may_write)]

    @api.get("/experiments/id/{experiment_id}", responses=example(examples.EXPERIMENT))
    def experiment_by_id(experiment_id: ExperimentId) -> ExperimentAnswer:
        """One experiment."""
        with database.session() as session:
            return answers.experiment(records.get(session, Experiment, experiment_id))

    @api.post(
        "/experiments",
        status_code=201,
        responses=examples.created(examples.EXPERIMENT),
        openapi_extra=examples.takes(_NEW),
        dependencies=writing,
    )
    def new_experiment(new: NewExperiment) -> ExperimentAnswer:
        """Record a training run of a model."""
        with database.session() as session:
            model = records.get(session, Model, new.model_id)
            named = new.model_version_id
            of = None if named is None else records.find_version(session, model, named).id
            row = Experiment(**new.model_dump() | {"model_version_id": of})
            session.add(row)
            session.flush()
            return answers.experiment(row)

    @api.post(
        "/experiments/evaluations/{experiment_id}",
        responses=example(examples.EXPERIMENT),
        openapi_extra=examples.takes(_EVALUATIONS),
        dependencies=writing,
    )
    def add_evaluations(experiment_id: ExperimentId, more: Evaluations) -> ExperimentAnswer:
        """Add evaluations to those that are there."""
        return merged(experiment_id, Experiment.evaluations, more.evaluations)

    @api.post(
        "/experiments/artifact-file-paths/{experiment_id}",
        responses=example(examples.EXPERIMENT),
        openapi_extra=examples.takes(_PATHS),
        dependencies=writing,
    )
    def add_artifact_file_paths(experiment_id: ExperimentId, more: Paths) -> ExperimentAnswer:
        """Add artifact paths to those that are there."""
        return merged(experiment_id, Experiment.artifact_file_paths, more.artifact_file_paths)

    def merged(
        experiment_id: uuid.UUID, column: InstrumentedAttribute[dict[str, object]], more: dict[str, object]
    ) -> ExperimentAnswer:
        with database.session() as session:
            return answers.experiment(records.merge(session, Experiment, experiment_id, column, more))


def add_experiment_lists(api: APIRouter, database: Database) -> None:
    """The lists of experiments: all, and those of a version, a model, a project."""

    def listed(page: listing.Page, order: str, *where: ColumnElement[bool]) -> list[ExperimentAnswer]:
        with database.session() as session:
            query = select(Experiment).where(*where)
            return [answers.experiment(row) for row in listing.ordered(session, query, page, Experiment, order)]

    def existing(table: type[Row], row_id: uuid.UUID) -> uuid.UUID:
        with database.session() as session:
            return records.get(session, table, row_id).id

    @api.get("/experiments/all", responses=example([examples.EXPERIMENT]), description=_PAGE)
    def all_experiments(page: listing.Paged, order: listing.TimeOrder = "created_at") -> list[ExperimentAnswer]:
        return listed(page, order)

    @api.get("/experiments/model-version-id/{version_id}", responses=example([examples.EXPERIMENT]), description=_PAGE)
    def experiments_by_version(
        version_id: VersionId, page: listing.Paged, order: listing.TimeOrder = "created_at"
    ) -> list[ExperimentAnswer]:
        return listed(page, order, Experiment.model_version_id == existing(Version, version_id))

    @api.get("/experiments/model-id/{model_id}", responses=example([examples.EXPERIMENT]), description=_PAGE)
    def experiments_by_model(
        model_id: ModelId, page: listing.Paged, order: listing.TimeOrder = "created_at"
    ) -> list[ExperimentAnswer]:
        return listed(page, order, Experiment.model_id == existing(Model, model_id))

    @api.get("/experiments/project-id/{project_id}", responses=example([examples.EXPERIMENT]), description=_PAGE)
    def experiments_by_project(
        project_id: ProjectId, page: listing.Paged, order: listing.TimeOrder = "created_at"
    ) -> list[ExperimentAnswer]:
        models = select(Model.id).where(Model.project_id == existing(Project, project_id))
        return listed(page, order, Experiment.model_id.in_(models))
