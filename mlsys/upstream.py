"""An HTTP service that this one asks: kept connections, an end to every wait, and one error for each way to fail."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple, Self
from weakref import WeakSet

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from . import logs
from .errors import BadGateway, DeadlineExceeded, NotReady, SettingsError

_BROKEN = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
"""A kept connection that the service closed meanwhile, or one that cannot be had."""
_PATHS = 1000
_KEPT_S = 4.0  # uvicorn closes a connection that was idle for 5 s


class _Request(aiohttp.ClientRequest):
    """Not sent over a connection that holds an answer already: it is to no request, and would be taken for this one's.

    aiohttp looks at that when a connection is given back, not when it is taken again.
    """

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        if conn.protocol is None or conn.protocol.should_close:
            raise aiohttp.ServerDisconnectedError("It answered what it was not asked")
        _used.add(conn.protocol)
        return await super().send(conn)


class _Kept(aiohttp.ServerDisconnectedError):
    """The connection was used before; it is closed now."""


class _FreshRequest(_Request):
    """Sent over a new connection only."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        if conn.protocol in _used:
            raise _Kept
        return await super().send(conn)


_used: WeakSet[asyncio.BaseProtocol] = WeakSet()


class Reply(NamedTuple):
    """What the service answered, whatever it was."""

    status: int
    body: bytes


class Upstream:
    """One service by `name`, for messages, and `url`, below which its paths are. Connections live within `async with`.

    max_connections: requests at one time; more wait for one of them, within their time.
    max_bytes: of an answer; a longer one is no answer.

    Every call takes at most `timeout_s` seconds for all it does, and carries the current request's id and W3C
    traceparent. A request whose connection broke before the answer is sent once more, over a new one: what is asked
    must bear that, as predictions do. Redirects are not followed and nothing is decompressed. A path begins with / and
    is what is asked for: `..` and `?` in it count, so that what a caller says is checked before it becomes part of one.
    Raises: SettingsError if the URL is not http:// or https:// with a host, or has a user, a query or a fragment.
    """

    def __init__(self, name: str, url: str, *, max_connections: int = 100, max_bytes: int = 65536) -> None:
        self.name = name
        self.url = url.rstrip("/")
        self._max_connections = max_connections
        self._max_bytes = max_bytes
        self._paths: dict[str, URL] = {}
        self._session: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None
        if not _is_service(self.url):
            shown = "(hidden)" if "@" in url else repr(url)  # there may be a password before it
            raise SettingsError(f"{shown} is no URL of a service ({name}): it must be http://host:port.")

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=self._max_connections, keepalive_timeout=_KEPT_S)
        self._session = _session(connector, _Request)
        self._fresh = _session(connector, _FreshRequest)  # the limit is one for both
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in (self._fresh, self._session):
            if session:
                await session.close()
        self._session = self._fresh = None

    async def get(self, path: str, *, timeout_s: float) -> bytes:
        """The body of a good answer (200). Raises: DeadlineExceeded, NotReady, BadGateway."""
        return self._good(await self.ask("GET", path, timeout_s=timeout_s))

    async def post(self, path: str, body: bytes, *, timeout_s: float) -> bytes:
        """The body of a good answer (200) to a body of JSON. Raises: DeadlineExceeded, NotReady, BadGateway."""
        return self._good(await self.ask("POST", path, body, timeout_s=timeout_s))

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None,
    ) -> Reply:
        """The whole answer, whatever its status; a body is declared to be JSON. None: the caller bounds the time.

        Raises: DeadlineExceeded if it is not there in time, NotReady if the connection cannot be had or breaks,
        BadGateway if it is too long or no HTTP.
        """
        sent = _headers(body) | dict(headers or {})
        async with self._in_time(timeout_s):
            try:
                return await self._ask(self._opened, method, path, body, sent)
            except _BROKEN:
                return await self._ask_anew(method, path, body, sent)

    async def open(self, path: str, *, timeout_s: float) -> aiohttp.ClientResponse:
        """The answer to a GET as soon as it begins, whatever its status, for what has no end of its own.

        The caller closes it. Raises: DeadlineExceeded, NotReady, BadGateway; what is read later, aiohttp's errors.
        """
        async with self._in_time(timeout_s):
            return await self._opened.get(self._at(path), headers=_headers(None), allow_redirects=False)

    async def _ask_anew(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Reply:
        while True:
            try:
                return await self._ask(self._fresh or self._opened, method, path, body, headers)
            except _Kept:
                continue  # what closed one kept connection may have closed all

    async def _ask(
        self, session: aiohttp.ClientSession, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> Reply:
        async with session.request(
            method, self._at(path), data=body, headers=headers, allow_redirects=False
        ) as response:
            return Reply(response.status, await self._read(response))

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        answer = b""
        while chunk := await response.content.readany():
            answer += chunk
            if len(answer) > self._max_bytes:
                raise BadGateway(f"{self.name} answered more than {self._max_bytes} bytes.")
        return answer

    def _good(self, reply: Reply) -> bytes:
        """The body. Any other status is an error: if the request was refused, the two services do not fit."""
        match reply.status:
            case 200:
                return reply.body
            case 429 | 503:
                raise NotReady(f"{self.name} is not available (it answered {reply.status}).")
            case 504:
                raise DeadlineExceeded(f"{self.name} did not have its answer in time.")
            case _:
                raise BadGateway(f"{self.name} answered {reply.status}: {reply.body[:100]!r}.")

    @asynccontextmanager
    async def _in_time(self, seconds: float | None) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise DeadlineExceeded(f"{self.name} did not answer within {seconds:.3g} s.") from error
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError) as error:
            raise NotReady(f"{self.name} at {self.url} is not available ({said(error)}).") from error
        except aiohttp.ClientError as error:
            raise BadGateway(f"{self.name} answered what is no HTTP ({said(error)}).") from error

    def _at(self, path: str) -> URL:
        if path not in self._paths:
            if not path.startswith("/"):
                raise ValueError(f"{path!r} is no path below {self.url}: it must begin with /.")  # or be another host
            if len(self._paths) > _PATHS:  # paths with ids in them
                self._paths.clear()
            self._paths[path] = URL(self.url + path)
        return self._paths[path]

    @property
    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError(f"{self.name} is asked outside of `async with`.")
        return self._session


def said(error: BaseException) -> str:
    """What an error says, or what it is: some of aiohttp's say nothing."""
    return str(error) or type(error).__name__


def _headers(body: bytes | None) -> dict[str, str]:
    headers = {} if body is None else {"Content-Type": "application/json"}
    if current := logs.request_id.get():
        headers["X-Request-ID"] = current
    if trace := logs.traceparent.get():
        headers["traceparent"] = trace
    return headers


def _session(connector: aiohttp.TCPConnector, request_class: type[aiohttp.ClientRequest]) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        request_class=request_class,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,  # a small answer could become a large one
        timeout=aiohttp.ClientTimeout(total=None),  # each call is bounded as a whole
        skip_auto_headers=("User-Agent", "Accept-Encoding", "Content-Type"),
    )


def _is_service(url: str) -> bool:
    """Whether a path can be written after it. A password in it would be shown to callers, in the errors."""
    try:
        parsed = URL(url)
    except ValueError:
        return False
    bare = not (parsed.user or parsed.password or "?" in url or "#" in url or " " in (parsed.host or ""))
    return parsed.scheme in {"http", "https"} and bool(parsed.host) and bare
