"""Models over HTTP: a file on any server, or what an alias of the model registry names at the moment."""

import contextlib
import json
import re
from collections.abc import Iterator
from urllib.parse import quote

import urllib3

from mlsys.errors import SettingsError

from .source import CHUNK, Release, Source, SourceDown, Stream, digest, show

_SMALL = 2**20
"""Bytes that are read of an answer that is no model."""
_TIMEOUT = urllib3.Timeout(connect=3.0, read=10.0)
_ONCE = urllib3.Retry(connect=0, read=0, status=0, other=0, redirect=3)  # the loader tries again, and nobody else
REGISTRY = re.compile(r"registry\+(https?://[^/@\s]+)/([^/@\s]+)@([^/@\s]+)")


class Http(Source):
    """A file on an HTTP server; its sha256 is in `<url>.sha256`, as sha256sum writes it."""

    def __init__(self, url: str, sha256: str | None = None) -> None:
        self.shown = show(url)
        self._url = url
        self._sha256 = sha256
        self._pool = urllib3.PoolManager(timeout=_TIMEOUT, retries=_ONCE)

    def release(self) -> Release:
        """The file as it is now: known by its digest, else by ETag, time or length."""
        sha256, tag = self._sha256 or self._beside(), ""
        if sha256 is None:
            with self._ask("HEAD", self._url) as answer:
                self._require(answer, 200)
                told = (answer.headers.get(name) for name in ("ETag", "Last-Modified", "Content-Length"))
                tag = next((value for value in told if value), "")
        return Release(self.shown, sha256 or tag, sha256, self._url)

    @contextlib.contextmanager
    def read(self, release: Release, begins: int) -> Iterator[Stream]:
        """The body, by a range where something is there already."""
        with self._ask("GET", release.place, begins) as answer:
            if answer.status != 416:  # 416: we have as much as there is, or more: not this file's beginning
                self._require(answer, 200, 206)
                resumed = answer.headers.get("Content-Range", "").startswith(f"bytes {begins}-")
                yield Stream(begins if answer.status == 206 and resumed else 0, self._chunks(answer))
                return
        with self._ask("GET", release.place) as answer:
            self._require(answer, 200)
            yield Stream(0, self._chunks(answer))

    def _beside(self) -> str | None:
        path, mark, query = self._url.partition("?")
        with self._ask("GET", f"{path}.sha256{mark}{query}") as answer:
            if answer.status == 404:
                return None
            self._require(answer, 200)
            return digest(answer.read(_SMALL))

    @contextlib.contextmanager
    def _ask(self, method: str, url: str, begins: int = 0) -> Iterator[urllib3.BaseHTTPResponse]:
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begins}-"} if begins else {})
        try:
            answer = self._pool.request(method, url, headers=headers, preload_content=False)
            try:
                yield answer
            finally:
                answer.close()  # not given back to the pool, which would read the rest of a model first
        except urllib3.exceptions.HTTPError as error:
            raise SourceDown(f"{self.shown} cannot be read ({_reason(error)})") from error

    def _chunks(self, answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        """What there is, as soon as it is there: of a body that breaks off nothing is lost."""
        received, whole = 0, int(answer.headers.get("Content-Length", "-1"))
        try:
            while chunk := answer.read1(CHUNK):
                received += len(chunk)
                yield chunk
        except urllib3.exceptions.HTTPError as error:
            raise SourceDown(f"{self.shown} broke off ({_reason(error)})") from error
        if whole not in (-1, received):
            raise SourceDown(f"{self.shown} broke off after {received} of {whole} bytes")

    def _require(self, answer: urllib3.BaseHTTPResponse, *statuses: int) -> None:
        if answer.status not in statuses:
            said = answer.read(300).decode(errors="replace")
            raise SourceDown(f"{self.shown} answered {answer.status} {said}".rstrip())


class Registry(Http):
    """The version that an alias of the model registry names: `registry+http://host:port/model@alias`."""

    def __init__(self, url: str) -> None:
        """Raises: SettingsError if the URL is of another form."""
        if not (found := REGISTRY.fullmatch(url)):
            raise SettingsError(f"MODEL_SOURCE={show(url)} is not of the form registry+http://host:port/model@alias.")
        self._base, model, alias = found.groups()
        super().__init__(f"{self._base}/v1/api/models/name/{quote(model)}/aliases/{quote(alias)}")
        self.shown = url

    def release(self) -> Release:
        """The version that the alias names now; the registry knows its digest."""
        with self._ask("GET", self._url) as answer:
            self._require(answer, 200)
            body = answer.read(_SMALL)
        try:
            version = json.loads(body)
            name, sha256 = str(version["name"]), digest(str(version["sha256"]).encode())
        except (ValueError, KeyError, TypeError) as error:
            raise SourceDown(f"{self.shown} answered what is no version ({body[:80]!r})") from error
        return Release(name, sha256, sha256, f"{self._base}/v1/api/artefacts/{sha256}")


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    """What happened, without the URL, whose query may be a signature."""
    return str(getattr(error, "reason", None) or error)
