"""The routes of models."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from sqlalchemy import Select, select

from mlsys.database import Database
from mlsys.openapi import example

from . import answers, examples, listing, records
from .access import MayWrite
from .fields import Body, Id, Name, Text
from .projects import ProjectId, ProjectName
from .shapes import ModelAnswer
from .tables import Model, Project

ModelId = Annotated[uuid.UUID, Path(description="The model's id.", examples=[examples.MODEL_ID])]
ModelName = Annotated[Name, Path(description="The model's name.", examples=["iris_svc"])]
_NEW = {"project_id": examples.PROJECT_ID, "model_name": "iris_svc", "description": "A support vector machine."}


class NewModel(Body):
    """A model to be made."""

    project_id: Id
    model_name: Name
    description: Text = ""


def add_models(api: APIRouter, database: Database, may_write: MayWrite) -> None:
    """GET and POST below /models."""

    @api.get("/models/all", responses=example([examples.MODEL]))
    def all_models(
        page: listing.Paged, order: listing.NameOrder = "created_at", name_contains: listing.NamePart = None
    ) -> list[ModelAnswer]:
        """The models, page by page; the `Link` header names the next page."""
        with database.session() as session:
            query = listing.named(select(Model), Model.name, name_contains)
            return [answers.model(row) for row in listing.ordered(session, query, page, Model, order)]

    @api.get("/models/id/{model_id}", responses=example(examples.MODEL))
    def model_by_id(model_id: ModelId) -> ModelAnswer:
        """One model."""
        with database.session() as session:
            return answers.model(records.get(session, Model, model_id))

    @api.get("/models/name/{model_name}", responses=example(examples.MODEL))
    def model_by_name(model_name: ModelName) -> ModelAnswer:
        """One model."""
        with database.session() as session:
            return answers.model(records.named(session, Model, model_name))

    @api.post(
        "/models",
        status_code=201,
        responses=examples.created(examples.MODEL),
        openapi_extra=examples.takes(_NEW),
        dependencies=[Depends(may_write)],
    )
    def new_model(new: NewModel) -> ModelAnswer:
        """Make a model of a project. 409 with its id if there is one of this name, in whatever project."""
        with database.session() as session:
            project = records.get(session, Project, new.project_id)
            values = {"project_id": project.id, "name": new.model_name, "description": new.description}
            return answers.model(records.add(session, Model, values))

    add_models_of_projects(api, database)


def add_models_of_projects(api: APIRouter, database: Database) -> None:
    """The lists of a project's models."""

    def of(project: Project, name_contains: str | None) -> Select[tuple[Model]]:
        return listing.named(select(Model).where(Model.project_id == project.id), Model.name, name_contains)

    @api.get("/models/project-id/{project_id}", responses=example([examples.MODEL]))
    def models_by_project_id(
        project_id: ProjectId,
        page: listing.Paged,
        order: listing.NameOrder = "created_at",
        name_contains: listing.NamePart = None,
    ) -> list[ModelAnswer]:
        """The models of a project, page by page."""
        with database.session() as session:
            query = of(records.get(session, Project, project_id), name_contains)
            return [answers.model(row) for row in listing.ordered(session, query, page, Model, order)]

    @api.get("/models/project-name/{project_name}", responses=example([examples.MODEL]))
    def models_by_project_name(
        project_name: ProjectName,
        page: listing.Paged,
        order: listing.NameOrder = "created_at",
        name_contains: listing.NamePart = None,
    ) -> list[ModelAnswer]:
        """The models of a project, page by page."""
        with database.session() as session:
            query = of(records.named(session, Project, project_name), name_contains)
            return [answers.model(row) for row in listing.ordered(session, query, page, Model, order)]
