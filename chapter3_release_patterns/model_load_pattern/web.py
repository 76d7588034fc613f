"""Models over HTTP: a file on any server, or what an alias of the model registry names at the moment."""

import contextlib
import json
import re
import time
from collections.abc import Iterator
from urllib.parse import quote, urljoin

import urllib3

from mlsys.errors import SettingsError

from .source import CHUNK, Release, Source, SourceDown, Stream, digest, show

_SMALL = 2**20
"""Bytes that are read of an answer that is no model."""
_SMALL_S = 10.0
"""Seconds for such an answer in all: the timeout of a read begins anew with every byte."""
_TIMEOUT = urllib3.Timeout(connect=3.0, read=10.0)
_REDIRECTS = 3
_ONCE = urllib3.Retry(connect=0, read=0, status=0, other=0)  # the loader tries again, and nobody else
REGISTRY = re.compile(r"registry\+(https?://[^/@\s]+)/([^/@\s]+)@([^/@\s]+)")


class Http(Source):
    """A file on an HTTP server; its sha256 is in `<url>.sha256`, as sha256sum writes it."""

    def __init__(self, url: str, sha256: str | None = None) -> None:
        """Raises: SettingsError if the URL names no host."""
        self.shown = show(url)
        try:
            host = urllib3.util.parse_url(url).host
        except urllib3.exceptions.LocationParseError:
            host = None
        if not host:
            raise SettingsError(f"MODEL_SOURCE={self.shown} is not of the form http://host:port/path.")
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
            rest = answer.headers.get("Content-Range", "").startswith(f"bytes {begins}-")
            if answer.status == 206 and begins and rest:
                yield Stream(begins, self._chunks(answer))
                return
            if answer.status not in (206, 416):
                self._require(answer, 200)
                yield Stream(0, self._chunks(answer))
                return
        # 416: we have as much as there is, or more: not this file's beginning. 206: another range than was asked for.
        with self._ask("GET", release.place) as answer:
            self._require(answer, 200)
            yield Stream(0, self._chunks(answer))

    def _beside(self) -> str | None:
        path, mark, query = self._url.partition("?")
        with self._ask("GET", f"{path}.sha256{mark}{query}") as answer:
            if answer.status == 404:
                return None
            self._require(answer, 200)
            return digest(self._small(answer))

    @contextlib.contextmanager
    def _ask(self, method: str, url: str, begins: int = 0) -> Iterator[urllib3.BaseHTTPResponse]:
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begins}-"} if begins else {})
        try:
            answer = self._open(method, url, headers)
            try:
                yield answer
            finally:
                answer.close()  # not given back to the pool, which would read the rest of a model first
        except urllib3.exceptions.HTTPError as error:
            raise SourceDown(f"{self.shown} cannot be read ({_reason(error)})") from error

    def _open(self, method: str, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        """The answer at the end of a few redirects, whose bodies are not read: urllib3 would, also one without end."""
        for _ in range(_REDIRECTS + 1):
            answer = self._pool.request(method, url, headers=headers, preload_content=False, redirect=False)
            if not (place := answer.get_redirect_location()):
                return answer
            answer.close()
            try:
                url = urljoin(url, place)
            except ValueError as error:
                raise SourceDown(f"{self.shown} is redirected to no URL ({error})") from error
        raise SourceDown(f"{self.shown} is redirected more than {_REDIRECTS} times")

    def _chunks(self, answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        """What there is, as soon as it is there: of a body that breaks off nothing is lost."""
        try:
            while chunk := answer.read1(CHUNK, decode_content=False):  # packed although asked not to: hashed as it came
                yield chunk
        except urllib3.exceptions.HTTPError as error:
            raise SourceDown(f"{self.shown} broke off ({_reason(error)})") from error
        if answer.length_remaining:
            raise SourceDown(f"{self.shown} broke off {answer.length_remaining} bytes before its end")

    def _small(self, answer: urllib3.BaseHTTPResponse) -> bytes:
        end, body = time.monotonic() + _SMALL_S, b""
        while chunk := answer.read1(_SMALL):
            body += chunk
            if len(body) > _SMALL or time.monotonic() > end:
                raise SourceDown(f"{self.shown} answers without an end ({len(body)} bytes in at most {_SMALL_S:g} s)")
        return body

    def _require(self, answer: urllib3.BaseHTTPResponse, *statuses: int) -> None:
        if answer.status not in statuses:
            said = answer.read1(300).decode(errors="replace")
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
            body = self._small(answer)
        try:
            version = json.loads(body)
            name, sha256 = str(version["name"]), digest(str(version["sha256"]).encode())
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise SourceDown(f"{self.shown} answered what is no version ({body[:80]!r})") from error
        return Release(name, sha256, sha256, f"{self._base}/v1/api/artefacts/{sha256}")


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    """What happened, without the URL, whose query may be a signature."""
    return str(getattr(error, "reason", None) or error)
