"""A client of a model registry: which model an alias names now, its file, and a new version or promotion.

It speaks HTTP and JSON as `chapter2_training/model_db` does. It is synchronous: training and loading wait for it.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
import urllib3
from pydantic import SecretStr

from . import artefact
from .errors import (
    BadGateway,
    Conflict,
    InvalidInput,
    NotFound,
    NotReady,
    PayloadTooLarge,
    Refused,
    ServiceError,
    StartupError,
    Unauthorized,
)

T = TypeVar("T")
_JSON = {"content-type": "application/json"}
_CHECKED_WITHIN = urllib3.Timeout(connect=3, read=300)  # an uploaded model is loaded, one after another, and answered
_RETRY = urllib3.Retry(
    5,
    redirect=False,  # it would carry the token to whatever host the answer names
    backoff_factor=0.1,
    backoff_max=2,
    backoff_jitter=0.1,
    status_forcelist=(503,),  # with the methods that may be repeated; POST is repeated only where it did not arrive
    raise_on_status=False,
    retry_after_max=5,
)
_REFUSALS: dict[str, type[ServiceError]] = {
    kind.code: kind for kind in (Unauthorized, NotFound, Conflict, Refused, InvalidInput, NotReady, PayloadTooLarge)
} | dict.fromkeys(("over_capacity", "deadline_exceeded"), NotReady)


class Release(msgspec.Struct, frozen=True, kw_only=True, rename={"version": "name", "model": "model_name"}):
    """A version of a model as the registry has it. `sha256` and `size_bytes` are of its file, `version` its name."""

    id: str
    model_id: str
    model: str
    version: str
    sha256: str
    size_bytes: int
    data_sha256: str | None = None
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    aliases: list[str] = msgspec.field(default_factory=list)


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the log of promotions. `to_version` is None where an alias was removed."""

    id: str
    alias: str
    number: int
    kind: str
    from_version: str | None
    to_version: str | None
    who: str
    why: str
    at: str
    override_reason: str | None = None


class Registry:
    """One registry, by the URL it is at (`http://host:8000`) and the token that writing needs.

    Connections are kept and may be used by several threads. What may be repeated is repeated for a few seconds.

    Calls raise: NotReady if it does not answer, or is not ready; Unauthorized if it does not take the token; NotFound,
    InvalidInput, Conflict and Refused (with its reasons in `details`) as it says; BadGateway if it answers nonsense.
    """

    def __init__(self, url: str, token: SecretStr | None = None) -> None:
        """Opens no connection. Raises: StartupError if this can be no URL of a registry, or no token."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or "@" in url:
            raise StartupError(f"The registry's URL {url[:200]!r} is not of the form http://host:port.")
        word = token.get_secret_value() if token else ""
        if not (word.isascii() and word.isprintable()):
            raise StartupError("The registry's token holds characters that no HTTP header can carry.")
        self.url = url.rstrip("/")
        self._headers = {"authorization": f"Bearer {word}"} if word else {}
        self._pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=3, read=30), retries=_RETRY, maxsize=8)
        self._tags: dict[str, tuple[str, Release]] = {}

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def check(self) -> None:
        """Raises as every call does if the registry is not there."""
        self.ask("GET", "health", dict[str, str])

    def alias(self, model: str, alias: str) -> Release:
        """The version that the alias of the model names now. Asked again, it costs little while that does not change.

        Raises: NotFound also where there is no such model or alias.
        """
        path = f"api/models/name/{_part(model)}/aliases/{_part(alias)}"
        tag, known = self._tags.get(path, ("", None))
        response = self._send("GET", path, headers={"if-none-match": tag} if tag else {})
        if response.status == 304 and known:
            return known
        release = self._read(response, path, Release)
        self._tags[path] = (response.headers.get("etag", ""), release)
        return release

    def fetch(self, release: Release, folder: Path) -> Path:
        """Have the file of the version in the folder as <sha256>.onnx, whole and verified, and return its path.

        What an earlier call could not finish is not asked for again.

        Raises: ModelError if what the registry gives is not the file with this sha256; OSError if the folder cannot
        be written.
        """
        url = f"{self.url}/v1/api/artefacts/{release.sha256}"
        return artefact.fetch(self._pool, url, release.sha256, release.size_bytes, folder)

    def versions(self, model_id: str) -> Iterator[Release]:
        """All versions of a model."""
        path: str | None = f"api/models/{_part(model_id)}/versions?limit=500"
        while path:
            response = self._send("GET", path)
            yield from self._read(response, path, list[Release])
            path = _next(response.headers.get("link", ""))

    def model_id(self, project: str, model: str) -> str:
        """Id of the model, which is made, as is its project, if there is none. Raises: Conflict if the model is in
        another project.
        """
        project_id = self._named("projects", "project", project, {})
        model_id = self._named("models", "model", model, {"project_id": project_id})
        found = self.ask("GET", f"api/models/id/{_part(model_id)}", dict[str, Any])
        if found.get("project_id") != project_id:
            raise Conflict(f"The registry has a model {model} already, in another project than {project}.")
        return model_id

    def upload(self, file: Path) -> str:
        """Have the file in the registry, and return its sha256. One that is there is not sent again."""
        sha256 = artefact.digest(file)
        path = f"api/artefacts/{sha256}"
        if self._send("HEAD", path).status == 200:
            return sha256
        with file.open("rb") as content:
            size = os.fstat(content.fileno()).st_size
            headers = {"content-type": "application/octet-stream", "content-length": str(size)}
            answer = self._send("PUT", path, body=content, headers=headers, timeout=_CHECKED_WITHIN)
            self._read(answer, path, dict[str, Any])
        return sha256

    def register(self, model_id: str, version: str, sha256: str, **about: object) -> Release:
        """Make a version of an uploaded file. about: data_sha256, code_revision, parameters, metrics, parent.

        Raises: Conflict if there is a version of this name with another file; one with this file is returned.
        """
        path = f"api/models/{_part(model_id)}/versions"
        try:
            return self.ask("POST", path, Release, {"name": version, "sha256": sha256, **about})
        except Conflict:
            found = self.ask("GET", f"{path}/{_part(version)}", Release)
            if found.sha256 == sha256:
                return found
            raise

    def promote(
        self, model_id: str, alias: str, version: str, *, who: str, why: str, override_reason: str | None = None
    ) -> Promotion:
        """Let the alias name this version (its id or name). Raises: Refused, with the gate's reasons as `details`."""
        body = {"version": version, "who": who, "why": why}
        if override_reason is not None:
            body["override_reason"] = override_reason
        return self.ask("POST", f"api/models/{_part(model_id)}/aliases/{_part(alias)}", Promotion, body)

    def rollback(self, model_id: str, alias: str, *, who: str, why: str) -> Promotion:
        """Let the alias name the version that it named before."""
        path = f"api/models/{_part(model_id)}/aliases/{_part(alias)}/rollback"
        return self.ask("POST", path, Promotion, {"who": who, "why": why})

    def _named(self, kind: str, field: str, name: str, about: Mapping[str, str]) -> str:
        """Id of the project or model of this name, made if there is none; another client may make it meanwhile."""
        by_name = f"api/{kind}/name/{_part(name)}"
        try:
            found = self.ask("GET", by_name, dict[str, Any])
        except NotFound:
            try:
                found = self.ask("POST", f"api/{kind}", dict[str, Any], {f"{field}_name": name, **about})
            except Conflict:
                found = self.ask("GET", by_name, dict[str, Any])
        if not isinstance(known := found.get(f"{field}_id"), str):
            raise BadGateway(f"The registry at {self.url} answers for the {field} {name} without its {field}_id.")
        return known

    def ask(self, method: str, path: str, kind: type[T], body: object = None) -> T:
        """Any call that has no method here: `path` is what stands after `/v1/`, `body` and answer are JSON."""
        about: dict[str, Any] = {} if body is None else {"body": msgspec.json.encode(body), "headers": _JSON}
        return self._read(self._send(method, path, **about), path, kind)

    def _send(self, method: str, path: str, **about: Any) -> urllib3.BaseHTTPResponse:  # noqa: ANN401  # of urllib3
        about["headers"] = self._headers | about.get("headers", {})
        try:
            return self._pool.request(method, f"{self.url}/v1/{path}", redirect=False, **about)
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise NotReady(f"The registry at {self.url} does not answer: {reason}.") from error

    def _read(self, response: urllib3.BaseHTTPResponse, path: str, kind: type[T]) -> T:
        """The answer, decoded. Raises: what it says."""
        if not 200 <= response.status < 300:
            raise _refusal(self.url, path, response)
        try:
            return msgspec.json.decode(response.data, type=kind)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadGateway(f"The registry at {self.url} gives no answer to {path}: {error}.") from error


def _refusal(url: str, path: str, response: urllib3.BaseHTTPResponse) -> ServiceError:
    try:
        told = msgspec.json.decode(response.data)["error"]
        code, message, details = told["code"], str(told["message"]), told.get("details")
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError, RecursionError):
        code, message, details = "", f"{response.status} to {path}", None
    kind = _REFUSALS.get(code, BadGateway)
    return kind(f"The registry at {url} says: {message[:1000]}", details=details)


def _next(link: str) -> str | None:
    """The page that a Link header calls the next one (RFC 8288), as the registry writes it."""
    for entry in link.split(","):
        address, _, about = entry.partition(";")
        if 'rel="next"' in about:
            return address.strip().strip("<>").partition("/v1/")[2] or None
    return None


def _part(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")
