"""Servers that lie: whatever they answer, a model is whole or there is none, and the next attempt can mend it."""

import contextlib
import gzip
import hashlib
import socketserver
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from mlsys.errors import ModelError

from .. import loader, web
from ..fetch import Fetcher
from ..settings import Settings
from ..source import SourceDown
from ..store import Store
from .conftest import sha256

SettingsOf = Callable[..., Settings]
Answer = bytes | Callable[[str], Iterator[bytes]]


class Liar(socketserver.ThreadingTCPServer):
    """Answers GETs with the bytes given, one answer after another; the last one again and again. `asked`: requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Talk)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/model.onnx"
        self.answers: list[Answer] = []
        self.asked: list[str] = []


class _Talk(socketserver.StreamRequestHandler):
    server: Liar

    def handle(self) -> None:
        asked = "".join(line.decode() for line in iter(self.rfile.readline, b"\r\n"))
        self.server.asked.append(asked)
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        with contextlib.suppress(OSError):
            for piece in [answer] if isinstance(answer, bytes) else answer(asked):
                self.wfile.write(piece)


def http(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + body


def whole(body: bytes) -> bytes:
    return http("200 OK", body, f"Content-Length: {len(body)}")


def drip(asked: str) -> Iterator[bytes]:
    """A byte now and then, without an end."""
    yield http("200 OK", b"")
    while True:
        yield b" "
        time.sleep(0.01)


@pytest.fixture
def liar() -> Iterator[Liar]:
    with Liar() as liar:
        thread = threading.Thread(target=liar.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield liar
        finally:
            liar.shutdown()
            thread.join()


@pytest.fixture
def fetch(liar: Liar, settings_of: SettingsOf, svc: bytes) -> Callable[..., str]:
    """`fetch()`: one attempt to get the model of iris_svc from the liar."""

    def fetch(**more: object) -> str:
        settings = settings_of(liar.url, **({"model_sha256": sha256(svc)} | more))
        store = Store(settings.model_directory)
        fetcher = Fetcher(loader.source(settings), store, settings)
        with store.locked(1):
            return fetcher.fetch(fetcher.source.release())

    return fetch


@pytest.mark.parametrize("length", ["abc", "-5", "", "9" * 5000, "1, 2", "²"])
def test_a_content_length_that_is_no_number_is_no_crash(
    liar: Liar, fetch: Callable[..., str], svc: bytes, length: str
) -> None:
    liar.answers = ["\r\n".join(["HTTP/1.1 200 OK", f"Content-Length: {length}", "", ""]).encode("latin-1") + svc]
    with contextlib.suppress(SourceDown):
        assert fetch() == sha256(svc)


def test_more_bytes_than_the_length_says_are_refused_and_fewer_are_worth_another_try(
    liar: Liar, fetch: Callable[..., str], svc: bytes
) -> None:
    liar.answers = [http("200 OK", svc, "Content-Length: 100")]
    with pytest.raises(ModelError, match="was promised"):
        fetch()
    liar.answers = [http("200 OK", svc, f"Content-Length: {len(svc) + 1}")]
    with pytest.raises(SourceDown, match="broke off"):
        fetch()
    liar.answers = [http("416 Range Not Satisfiable", b""), whole(svc)]
    assert fetch() == sha256(svc)


@pytest.mark.parametrize("told", ["bytes 0-9/9264", "bytes 2000-9263/9264", "bytes 100", "nonsense", ""])
def test_another_range_than_was_asked_for_is_not_mixed_in(
    liar: Liar, fetch: Callable[..., str], svc: bytes, told: str
) -> None:
    liar.answers = [http("200 OK", svc[:1000], f"Content-Length: {len(svc)}")]
    with pytest.raises(SourceDown, match="broke off"):
        fetch()
    liar.answers = [http("206 Partial Content", svc[2000:], f"Content-Range: {told}"), whole(svc)]
    assert fetch() == sha256(svc)
    assert ["Range: bytes=1000-" in asked for asked in liar.asked] == [False, True, False]


def test_a_range_that_nobody_asked_for_is_no_model(liar: Liar, fetch: Callable[..., str], svc: bytes) -> None:
    liar.answers = [http("206 Partial Content", svc[5:], f"Content-Range: bytes 5-{len(svc) - 1}/{len(svc)}")]
    with pytest.raises(SourceDown, match="answered 206"):
        fetch()


def test_all_of_it_in_answer_to_a_range_is_taken_from_its_beginning(
    liar: Liar, fetch: Callable[..., str], svc: bytes
) -> None:
    liar.answers = [http("200 OK", svc[:1000], f"Content-Length: {len(svc)}")]
    with pytest.raises(SourceDown):
        fetch()
    liar.answers = [whole(svc)]
    assert fetch() == sha256(svc)


def test_what_is_packed_although_that_was_not_wanted_is_not_unpacked(
    liar: Liar, fetch: Callable[..., str], svc: bytes
) -> None:
    bomb = gzip.compress(bytes(2**24))
    liar.answers = [http("200 OK", bomb, f"Content-Length: {len(bomb)}", "Content-Encoding: gzip")]
    with pytest.raises(ModelError, match=f"its {len(bomb)} bytes have the sha256"):
        fetch()


@pytest.mark.parametrize("place", ["/again", "file:///etc/passwd", "ftp://127.0.0.1/x", "http://", "gopher:x", "//["])
def test_a_redirect_in_a_circle_or_out_of_http_is_a_source_that_is_down(
    liar: Liar, fetch: Callable[..., str], place: str
) -> None:
    liar.answers = [http("302 Found", b"", f"Location: {place}", "Content-Length: 0")]
    with pytest.raises(SourceDown):
        fetch()
    assert len(liar.asked) <= 5


def test_a_redirect_is_followed_without_waiting_for_the_end_of_its_body(
    liar: Liar, fetch: Callable[..., str], svc: bytes
) -> None:
    def endless(asked: str) -> Iterator[bytes]:
        yield http("302 Found", b"", "Location: elsewhere/model.onnx")
        yield from drip(asked)

    liar.answers = [endless, whole(svc)]
    assert fetch() == sha256(svc)
    assert liar.asked[-1].startswith("GET /elsewhere/model.onnx ")


def test_an_endless_model_ends_at_the_cap_or_when_the_time_is_over(liar: Liar, fetch: Callable[..., str]) -> None:
    liar.answers = [drip]
    with pytest.raises(ModelError, match="more than MAX_MODEL_BYTES=5"):
        fetch(max_model_bytes=5)
    with pytest.raises(SourceDown, match=r"0\.2 s were not enough"):
        fetch(load_timeout_s=0.2)


def test_an_endless_answer_that_should_be_short_is_left(
    liar: Liar, settings_of: SettingsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "_SMALL_S", 0.2)
    liar.answers = [drip]
    base = liar.url.removesuffix("/model.onnx")
    for source in (liar.url, f"registry+{base}/iris_svc@champion"):
        with pytest.raises(SourceDown, match="without an end"):
            loader.source(settings_of(source)).release()
    liar.answers = [whole(b"x" * (2**20 + 1))]
    with pytest.raises(SourceDown, match="without an end"):
        loader.source(settings_of(liar.url)).release()


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"name": 1e999, "sha256": NaN}', b'{"name": "x", "sha256": {}}'])
def test_json_made_to_break_a_reader_is_no_version(liar: Liar, settings_of: SettingsOf, body: bytes) -> None:
    liar.answers = [whole(body)]
    with pytest.raises(SourceDown):
        loader.source(settings_of(f"registry+{liar.url.removesuffix('/model.onnx')}/iris_svc@champion")).release()


def test_without_a_digest_nothing_is_resumed_because_nothing_would_tell_a_mixture(
    liar: Liar, settings_of: SettingsOf, svc: bytes, forest: bytes
) -> None:
    settings = settings_of(liar.url, model_verify="warn")
    gone, tag = http("404 Not Found", b"", "Content-Length: 0"), "ETag: constant"
    store, source = Store(settings.model_directory), loader.source(settings)
    fetcher = Fetcher(source, store, settings)
    liar.answers = [
        gone,
        http("200 OK", b"", tag),
        http("200 OK", forest[:1000], f"Content-Length: {len(forest)}"),
        whole(svc),
    ]
    release = source.release()
    with store.locked(1), pytest.raises(SourceDown):
        fetcher.fetch(release)
    with store.locked(1):
        assert fetcher.fetch(release) == hashlib.sha256(svc).hexdigest()
    assert "Range:" not in liar.asked[-1]
