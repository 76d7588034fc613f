"""What the API asks the database: pages of items behind an id, each bounded in its reading, and how far the run is."""

from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import text
from sqlalchemy.orm import Session

from mlsys.database import Database

from .prediction import MAX_BYTES
from .progress import QUERY, Progress
from .shapes import Counts

WINDOW = 20_000
"""Items that a page of the unpredicted reads at most: where nearly all are predicted, pages are short, not slow."""

_VALUES = f"CASE WHEN octet_length(i.values::text) <= {MAX_BYTES} THEN i.values::text END AS values"
_COLUMNS = f"i.id, {_VALUES}, p.label, p.probabilities, i.created_at, p.updated_at"
_PAGE = "ORDER BY i.id LIMIT :limit"
_ALL = f"""SELECT {_COLUMNS} FROM items i LEFT JOIN predictions p ON p.version_id = :version AND p.item_id = i.id
WHERE i.id > :after {_PAGE}"""  # noqa: S608  # all of it is ours
_PREDICTED = f"""SELECT {_COLUMNS} FROM predictions p JOIN items i ON i.id = p.item_id
WHERE p.version_id = :version AND p.item_id > :after ORDER BY p.item_id LIMIT :limit"""  # noqa: S608
_UNPREDICTED = f"""SELECT i.id, {_VALUES}, NULL AS label, NULL AS probabilities, i.created_at, NULL AS updated_at
FROM items i WHERE i.id > :after AND i.id <= :last AND NOT EXISTS (SELECT FROM predictions p
    WHERE p.version_id = :version AND p.item_id = i.id AND p.item_id > :after AND p.item_id <= :last) {_PAGE}"""  # noqa: S608
_QUARANTINED = f"""SELECT i.id, {_VALUES}, q.reason, i.created_at, q.created_at AS updated_at
FROM quarantine q JOIN items i ON i.id = q.item_id
WHERE q.version_id = :version AND q.item_id > :after ORDER BY q.item_id LIMIT :limit"""  # noqa: S608
_WINDOW = "SELECT max(id), count(*) FROM (SELECT id FROM items WHERE id > :after ORDER BY id LIMIT :window) w"
# What is left of deleted items is not counted. Merged or hashed: statistics are late, and a loop would take long.
_NO_LOOPS = "SET LOCAL enable_nestloop = off"
_COUNTS = """SELECT (SELECT count(*) FROM items) AS items,
    (SELECT count(*) FROM predictions p JOIN items i ON i.id = p.item_id WHERE p.version_id = :version) AS predicted,
    (SELECT count(*) FROM quarantine q JOIN items i ON i.id = q.item_id WHERE q.version_id = :version) AS quarantined"""
_LATEST = "SELECT id FROM runs WHERE version_id = :version ORDER BY id DESC LIMIT 1"


class Page(NamedTuple):
    """Items in the order of their ids. after: what the next page is asked behind; None if there is none."""

    items: list[dict[str, Any]]
    after: int | None


class Listing:
    """The items with what one version, a model and the code around it, says of them."""

    def __init__(self, database: Database, model_sha256: str, code_sha256: str) -> None:
        self._database = database
        self._identity = {"model": model_sha256, "code": code_sha256}

    def all(self, after: int, limit: int) -> Page:
        """Predicted or not. Raises: NotReady, as all of them."""
        return self._page(_ALL, after, limit)

    def predicted(self, after: int, limit: int) -> Page:
        """Those with a prediction."""
        return self._page(_PREDICTED, after, limit)

    def unpredicted(self, after: int, limit: int) -> Page:
        """Those without, the quarantined among them. A page can be short, or empty, though more follow."""
        with self._database.session() as session:
            last, seen = session.execute(text(_WINDOW), {"after": after, "window": WINDOW}).one()
            found = self._rows(session, _UNPREDICTED, after=after, limit=limit, last=last or after)
        if len(found) == limit:
            return Page(found, found[-1]["id"])
        return Page(found, last if seen == WINDOW else None)

    def quarantined(self, after: int, limit: int) -> Page:
        """Those that could not be predicted, with the reasons."""
        return self._page(_QUARANTINED, after, limit)

    def counts(self) -> Counts:
        """How many items there are, and what came of them. Counts every row."""
        with self._database.session() as session:
            version, _ = self._version(session)
            session.execute(text(_NO_LOOPS))
            found = session.execute(text(_COUNTS), {"version": version}).one()
        items, predicted, quarantined = found
        return {"items": items, "predicted": predicted, "unpredicted": items - predicted, "quarantined": quarantined}

    def progress(self) -> Progress | None:
        """How far the version's latest run is; None if there is none."""
        with self._database.session() as session:
            version, _ = self._version(session)
            latest = session.execute(text(_LATEST), {"version": version}).scalar()
            if latest is None:
                return None
            found = session.execute(text(QUERY.replace("%(run)s", ":run")), {"run": latest}).one()
        return Progress(*found)

    def _page(self, query: str, after: int, limit: int) -> Page:
        with self._database.session() as session:
            found = self._rows(session, query, after=after, limit=limit)
        return Page(found, found[-1]["id"] if len(found) == limit else None)

    def _version(self, session: Session) -> tuple[int, list[str]]:
        """Its number, 0 before its first run, and the labels."""
        query = "SELECT id, labels FROM versions WHERE model_sha256 = :model AND code_sha256 = :code"
        found = session.execute(text(query), self._identity).one_or_none()
        return (found.id, found.labels) if found else (0, [])

    def _rows(self, session: Session, query: str, **parameters: int) -> list[dict[str, Any]]:
        version, labels = self._version(session)
        rows = session.execute(text(query), {**parameters, "version": version}).mappings()
        return [_item(dict(row), labels) for row in rows]


def _item(row: dict[str, Any], labels: list[str]) -> dict[str, Any]:
    """As the answers have it. The values go through undecoded: a number among them may be none that Python has."""
    values = row.pop("values")
    item = {"id": row.pop("id"), "values": None if values is None else msgspec.Raw(values.encode())}
    times = {f"{name}_datetime": _iso(row.pop(f"{name}_at")) for name in ("created", "updated")}
    if "reason" in row:
        return item | row | times
    label = row["label"]
    return item | {"prediction": row["probabilities"], "label": None if label is None else labels[label]} | times


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
