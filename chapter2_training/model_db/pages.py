"""The registry as web pages: what a person reads. They need no script and change nothing."""

import re
from collections.abc import Callable
from functools import wraps

from fastapi import Response

from mlsys.app import Service
from mlsys.database import Database
from mlsys.errors import InvalidInput, NotFound, ServiceError

from . import answers, history, model_view, overview, records, views
from .fields import NAME
from .rendering import HEADERS, Renderer
from .tables import Model, Project
from .views import following

PROJECTS = 25
LATEST = 10
"""Projects, and lines of the log, on the first page."""


def add_pages(service: Service, database: Database) -> None:
    """The pages' routes. They are not in the OpenAPI document: they are for people."""
    pages = Pages(database)
    routes: dict[str, Callable[..., Response]] = {
        "/": pages.home,
        "/projects/{name}": pages.project,
        "/models/{name}": pages.model,
        "/versions/{version_id}": pages.version,
        "/compare": pages.compare,
        "/style.css": pages.style,
    }
    for path, build in routes.items():
        service.get(path, include_in_schema=False)(pages.answering(build))


class Pages:
    """One method for each page."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._renderer = Renderer()

    def answering(self, build: Callable[..., Response]) -> Callable[..., Response]:
        """The page, or one that says what went wrong: who came for a page reads no JSON."""

        @wraps(build)
        def answer(**arguments: object) -> Response:
            try:
                return build(**arguments)
            except ServiceError as error:
                return self._renderer.error(error)

        return answer

    def home(self, name: str = "", after: str = "") -> Response:
        """Projects whose name contains `name`, behind `after`, and the latest promotions."""
        _require_text(name, after)
        with self._database.session() as session:
            found = overview.projects(session, name, after, PROJECTS + 1)
            log = [] if name or after else history.promotions(session, LATEST)
            return self._renderer.page(
                "home",
                name=name,
                projects=found[:PROJECTS],
                promotions=answers.promotions(session, log),
                model_names=overview.model_names(session, {line.model_id for line in log}),
                first=following("/", name=name) if after else None,
                following=following("/", name=name, after=found[PROJECTS - 1].name) if found[PROJECTS:] else None,
            )

    def project(self, name: str, after: str = "") -> Response:
        """A project's models."""
        _require_text(after)
        with self._database.session() as session:
            found = records.named(session, Project, _name(name))
            return self._renderer.page("project", **views.project(session, found, after))

    def model(self, name: str, after: str = "", before: str = "") -> Response:
        """A model's versions older than `after`, and its log before the line `before`."""
        with self._database.session() as session:
            found = records.named(session, Model, _name(name))
            return self._renderer.page("model", **model_view.model(session, found, after, before))

    def version(self, version_id: str) -> Response:
        """One version."""
        with self._database.session() as session:
            found = views.version_of(session, version_id)
            return self._renderer.page("version", **views.version(session, found))

    def compare(self, left: str = "", right: str = "") -> Response:
        """Two versions."""
        if not (left and right):
            raise InvalidInput("Choose two versions, A and B, on the page of their model.")
        with self._database.session() as session:
            sides = [views.version_of(session, side) for side in (left, right)]
            return self._renderer.page("compare", **views.comparison(session, *sides))

    def style(self) -> Response:
        """The style sheet. Its address changes with what is in it."""
        headers = HEADERS | {"cache-control": "max-age=31536000, immutable"}
        return Response(self._renderer.style, 200, headers, "text/css")


def _name(text: str) -> str:
    """The name. Raises: NotFound if nothing can have it."""
    if not re.fullmatch(NAME, text):
        raise NotFound(f"{text[:100]!r} is no name that a project or a model could have.")
    return text


def _require_text(*texts: str) -> None:
    """Raises: InvalidInput if one is nothing that a name could contain."""
    for text in texts:
        if len(text) > 128 or "\0" in text:
            raise InvalidInput(
                f"{text[:100]!r} is in no name: names have at most 128 characters, letters, digits, . _ and -."
            )
