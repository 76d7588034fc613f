"""Whether a service on this machine is ready, and a curl line that it will answer."""

import http.client
import json
import shlex
from typing import Any
from urllib.parse import urlsplit

_SAMPLE = "/predict/test"
_SHORT = 300
"""Characters of an example that a person would type."""


def reason_not_ready(url: str) -> str | None:
    """None if `GET /ready` answers 200, else what it did instead."""
    try:
        status, body = _get(url, "/ready")
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    return None if status == 200 else f"/ready answered {status} {body[:200].decode(errors='replace')}"


def curl_line(url: str) -> str:
    """A command for a shell: the first POST with a short JSON example in the OpenAPI document, and no token, that is
    answered in JSON.

    Without such an example (a picture is a long one) it is a GET: of the declared sample, of what a model server is, or
    else the first that needs nothing.
    Raises: OSError, HTTPException if the service has gone.
    """
    status, body = _get(url, "/openapi.json")
    paths = json.loads(body)["paths"] if status == 200 else {}
    for path, operations in paths.items():
        post = operations.get("post", {})
        example = _example(post.get("requestBody", {}).get("content", {}).get("application/json", {}))
        if example is not None and len(json.dumps(example)) <= _SHORT and "security" not in post and _in_json(post):
            return f"curl -s {url}{path} -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(example))}"
    plain = (path for path, operations in paths.items() if "{" not in path and _is_plain(operations.get("get")))
    known = (path for path in (_SAMPLE, "/v2") if path in paths)
    return f"curl -s {url}{next(known, None) or next(plain, '/health')}"


def _in_json(operation: dict[str, Any]) -> bool:
    return "application/json" in operation["responses"]["200"].get("content", {})


def _is_plain(operation: dict[str, Any] | None) -> bool:
    """Whether it is a GET that the service is there for, and that anybody may send as it is."""
    return operation is not None and "security" not in operation and "operation" not in operation.get("tags", ())


def _example(media: dict[str, Any]) -> object:
    named = list(media.get("examples", {}).values())
    return media.get("example", named[0].get("value") if named else None)


def _get(url: str, path: str) -> tuple[int, bytes]:
    """Status and body. No proxy is asked, whatever the environment names. Raises: OSError, HTTPException."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=2)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
