"""Lists by pages: how many, after which, in which order.

A page is found by an index, so that the last is as quick as the first. The next page is named by a `Link` header
(RFC 8288), which is there as long as there is one.
"""

import uuid
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlencode

from fastapi import Depends, Query, Request, Response
from pydantic import AfterValidator
from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from mlsys.errors import InvalidInput

from .fields import storable
from .tables import Version

MAX_LIMIT = 500
Columns = Sequence[InstrumentedAttribute[Any]]
Part = Annotated[str, AfterValidator(storable)]


class Page(NamedTuple):
    """Which part of a list is asked for, and where the link to the next one goes."""

    request: Request
    response: Response
    limit: int
    after: uuid.UUID | None


def page(
    request: Request,
    response: Response,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Longest list that is answered.")] = 100,
    after: Annotated[uuid.UUID | None, Query(description="Id of the last one seen: the list goes on after it.")] = None,
) -> Page:
    """The dependency that reads it from the query."""
    return Page(request, response, limit, after)


Paged = Annotated[Page, Depends(page)]
TimeOrder = Annotated[
    Literal["created_at", "-created_at"], Query(description="By time; with a minus the newest comes first.")
]
NameOrder = Annotated[
    Literal["created_at", "-created_at", "name", "-name"],
    Query(description="By time or by name; with a minus the last comes first."),
]
NamePart = Annotated[
    Part | None, Query(max_length=128, description="Only those whose name contains this, in lower or upper case.")
]


def columns(table: Any, order: str) -> Columns:  # noqa: ANN401  # a table class
    """What a table is ordered by, the id last, so that no two rows are equal. Version names have their own order."""
    if order.removeprefix("-") == "created_at":
        return [table.created_at, table.id]
    if table is Version:
        return [Version.major, Version.minor, Version.patch, Version.data, Version.split, Version.id]
    return [table.name, table.id]


def named(query: Select[Any], column: InstrumentedAttribute[str], part: str | None) -> Select[Any]:
    """The rows of the query whose name contains `part`, whose %, _ and \\ are characters like others; None: all."""
    return query if part is None else query.where(column.icontains(part, autoescape=True))


def fetch(session: Session, query: Select[Any], wanted: Page, by: Columns, *, descending: bool = False) -> list[Any]:
    """The rows of one page of `query`, which selects one table.

    Raises: InvalidInput if the list has no row `after`.
    """
    if wanted.after is not None:
        table = by[0].class_
        last = session.execute(query.with_only_columns(*by).where(table.id == wanted.after)).first()
        if last is None:
            raise InvalidInput(f"after={wanted.after}: there is no such id in this list.")
        position, seen = tuple_(*by), tuple_(*last)
        query = query.where(position < seen if descending else position > seen)
    order = [column.desc() if descending else column.asc() for column in by]
    rows = list(session.scalars(query.order_by(*order).limit(wanted.limit + 1)))
    if len(rows) > wanted.limit:
        rows.pop()
        parameters = {**wanted.request.query_params, "limit": wanted.limit, "after": rows[-1].id}
        wanted.response.headers["link"] = f'<{wanted.request.url.path}?{urlencode(parameters)}>; rel="next"'
    return rows


def ordered(session: Session, query: Select[Any], wanted: Page, table: Any, order: str) -> list[Any]:  # noqa: ANN401
    """As `fetch`, by the name of an order of `table`."""
    return fetch(session, query, wanted, columns(table, order), descending=order.startswith("-"))
