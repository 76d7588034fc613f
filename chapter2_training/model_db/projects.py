"""The routes of projects."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from sqlalchemy import select

from mlsys.database import Database
from mlsys.openapi import example

from . import answers, examples, listing, records
from .access import MayWrite
from .fields import Body, Name, Text
from .shapes import ProjectAnswer
from .tables import Project

ProjectId = Annotated[uuid.UUID, Path(description="The project's id.", examples=[examples.PROJECT_ID])]
ProjectName = Annotated[Name, Path(description="The project's name.", examples=["iris"])]
_NEW = {"project_name": "iris", "description": "Tell Iris species apart."}


class NewProject(Body):
    """A project to be made."""

    project_name: Name
    description: Text = ""


def add_projects(api: APIRouter, database: Database, may_write: MayWrite) -> None:
    """GET and POST below /projects."""

    @api.get("/projects/all", responses=example([examples.PROJECT]))
    def all_projects(
        page: listing.Paged, order: listing.NameOrder = "created_at", name_contains: listing.NamePart = None
    ) -> list[ProjectAnswer]:
        """The projects, page by page; the `Link` header names the next page."""
        query = listing.named(select(Project), Project.name, name_contains)
        with database.session() as session:
            return [answers.project(row) for row in listing.ordered(session, query, page, Project, order)]

    @api.get("/projects/id/{project_id}", responses=example(examples.PROJECT))
    def project_by_id(project_id: ProjectId) -> ProjectAnswer:
        """One project."""
        with database.session() as session:
            return answers.project(records.get(session, Project, project_id))

    @api.get("/projects/name/{project_name}", responses=example(examples.PROJECT))
    def project_by_name(project_name: ProjectName) -> ProjectAnswer:
        """One project."""
        with database.session() as session:
            return answers.project(records.named(session, Project, project_name))

    @api.post(
        "/projects",
        status_code=201,
        responses=examples.created(examples.PROJECT),
        openapi_extra=examples.takes(_NEW),
        dependencies=[Depends(may_write)],
    )
    def new_project(new: NewProject) -> ProjectAnswer:
        """Make a project. 409 with its id if there is one of this name."""
        with database.session() as session:
            values = {"name": new.project_name, "description": new.description}
            return answers.project(records.add(session, Project, values))
