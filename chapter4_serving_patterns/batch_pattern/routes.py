"""The routes: the book's lists of items, page by page, and how far the run is."""

from typing import Annotated

import msgspec
from fastapi import Query, Response

from mlsys.app import Service
from mlsys.openapi import example

from . import shapes
from .listing import Listing, Page
from .shapes import Counts, Item, Refused, RunProgress

MOST = 1000
_TIME = "2026-11-21T12:00:00+00:00"
_ITEM = {"id": 1, "values": [5.1, 3.5, 1.4, 0.2], "prediction": [0.97, 0.02, 0.01], "label": "setosa"}
_ITEM |= {"created_datetime": _TIME, "updated_datetime": _TIME}
_NEW = _ITEM | {"prediction": None, "label": None, "updated_datetime": None}
_BAD = {"id": 2, "values": None, "reason": "It is no flower: Expected `array`, got `null`."}
_BAD |= {"created_datetime": _TIME, "updated_datetime": _TIME}
After = Annotated[int, Query(ge=0, le=2**63 - 1, description="The id behind which the page begins.")]
Limit = Annotated[int, Query(ge=1, le=MOST, description="Items of a page.")]


def add_data(service: Service, listing: Listing) -> None:
    """GET /data/…: lists of items. The header `Link` has the next page, if there is one."""

    @service.get("/data/all", response_model=list[Item], responses=example([_ITEM]))
    def data_all(after: After = 0, limit: Limit = 100) -> Response:
        """All items in the order of their ids, page by page."""
        return _answer("all", listing.all(after, limit), limit)

    @service.get("/data/predicted", response_model=list[Item], responses=example([_ITEM]))
    def data_predicted(after: After = 0, limit: Limit = 100) -> Response:
        """The items that the served model has predicted."""
        return _answer("predicted", listing.predicted(after, limit), limit)

    @service.get("/data/unpredicted", response_model=list[Item], responses=example([_NEW]))
    def data_unpredicted(after: After = 0, limit: Limit = 100) -> Response:
        """The items that it has not. A page may be short, and even empty, though `Link` names another."""
        return _answer("unpredicted", listing.unpredicted(after, limit), limit)

    @service.get("/data/quarantined", response_model=list[Refused], responses=example([_BAD]))
    def data_quarantined(after: After = 0, limit: Limit = 100) -> Response:
        """The items that cannot be predicted, with the reasons."""
        return _answer("quarantined", listing.quarantined(after, limit), limit)


def add_progress(service: Service, listing: Listing, model: str) -> None:
    """GET /counts and /progress."""

    @service.get("/counts", responses=example({"items": 5000, "predicted": 5000, "unpredicted": 0, "quarantined": 0}))
    def counts() -> Counts:
        """How many items there are, and what came of them. It counts every row: for people, not for a dashboard."""
        return listing.counts()

    @service.get("/progress", responses=example(shapes.progress(model, None)))
    def progress() -> RunProgress:
        """How far the latest run of the served model is, its speed, and when it will end."""
        return shapes.progress(model, listing.progress())


def _answer(name: str, page: Page, limit: int) -> Response:
    headers = {}
    if page.after is not None:
        headers["link"] = f'</data/{name}?after={page.after}&limit={limit}>; rel="next"'  # RFC 8288
    return Response(msgspec.json.encode(page.items), media_type="application/json", headers=headers)
