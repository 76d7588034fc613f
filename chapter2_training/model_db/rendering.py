"""HTML out of the templates: the environment, its filters, and the headers that every page has."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mlsys import logs
from mlsys.errors import ServiceError

from .plot import number

TEMPLATES = Path(__file__).parent / "templates"
HEADERS = {
    # No script at all, no inline style, nothing from elsewhere: what a name or a description holds stays text.
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
HEADINGS = {404: "There is no such page", 422: "This cannot be shown", 503: "Not available at the moment"}


class Renderer:
    """The templates, loaded from the folder beside this file when it is built."""

    def __init__(self) -> None:
        self.style = (TEMPLATES / "style.css").read_bytes()
        self._templates = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,  # a name that a page lacks is a mistake, never an empty place
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.globals["style_version"] = hashlib.sha256(self.style).hexdigest()[:12]
        self._templates.filters |= {
            "number": number,
            "iso": lambda at: _moment(at).isoformat(timespec="seconds"),
            "minute": lambda at: f"{_moment(at):%Y-%m-%d %H:%M}",
            "size": size,
            "shape": lambda dimensions: " × ".join("any" if length < 0 else str(length) for length in dimensions),
            "shown": shown,
        }

    def page(self, template: str, **facts: object) -> Response:
        """The page of a template (without its suffix)."""
        return self._response(200, template, facts)

    def error(self, error: ServiceError) -> Response:
        """The page that says what went wrong, under the error's status and with its headers."""
        facts = {
            "status": error.status,
            "heading": HEADINGS.get(error.status, "This did not work"),
            "message": error.message,
            "request_id": logs.request_id.get(),
        }
        response = self._response(error.status, "error", facts)
        response.headers.update(dict(error.headers))
        return response

    def _response(self, status: int, template: str, facts: dict[str, Any]) -> Response:
        text = self._templates.get_template(f"{template}.html").render(facts)
        return Response(text, status, HEADERS, "text/html")


def size(count: int) -> str:
    """A number of bytes, for people: decimal units, three digits."""
    amount, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 999.5:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.3g} {unit}"


def shown(value: object) -> str:
    """Any JSON value in one line: numbers short, text as it is, the rest as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    return json.dumps(value, ensure_ascii=False)


def _moment(at: datetime | str) -> datetime:
    found = at if isinstance(at, datetime) else datetime.fromisoformat(at)
    return found.astimezone(UTC)
