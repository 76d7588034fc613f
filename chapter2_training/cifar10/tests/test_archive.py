"""The official archive: a cut connection costs what is missing, a wrong file is refused, nothing in it is executed."""

import hashlib
import io
import os
import pickle
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from chapter2_training.cifar10 import archive
from chapter2_training.cifar10.archive import BATCHES, NAME, fetch, read
from chapter2_training.cifar10.steps import Passing
from mlsys.errors import StartupError

CONTENT = np.random.default_rng(0).bytes(300_000)
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT, at most `cut` bytes of it for each request; remembers the ranges that were asked for."""

    def __init__(self, *, cut: int = 10**9, ranges: bool = True, status: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.cut, self.ranges, self.status = cut, ranges, status
        self.asked: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_port}/archive"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:  # the library's name
        asked = self.headers["Range"]
        self.server.asked.append(asked)
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.ranges else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        rest = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: self.server.cut])

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the library's name
        pass


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_it_is_fetched_once(tmp_path: Path) -> None:
    with serving(Server()) as server:
        assert fetch(tmp_path, server.url, MD5).read_bytes() == CONTENT
        fetch(tmp_path, server.url, MD5)
    assert server.asked == [None]


def test_a_cut_connection_costs_only_what_is_missing(tmp_path: Path) -> None:
    with serving(Server(cut=120_000)) as server:
        for _ in range(2):
            with pytest.raises(Passing):
                fetch(tmp_path, server.url, MD5)
        assert fetch(tmp_path, server.url, MD5).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=120000-", "bytes=240000-"]


def test_a_server_without_ranges_sends_all_again_and_it_is_not_appended(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT[:1000])
    with serving(Server(ranges=False)) as server:
        assert fetch(tmp_path, server.url, MD5).read_bytes() == CONTENT


def test_a_download_that_was_whole_but_not_yet_named_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT)
    with serving(Server()) as server:
        assert fetch(tmp_path, server.url, MD5).read_bytes() == CONTENT


def test_a_wrong_file_is_removed_and_refused_with_both_digests(tmp_path: Path) -> None:
    with serving(Server()) as server, pytest.raises(StartupError, match=f"has the md5 {MD5} instead of abc"):
        fetch(tmp_path, server.url, "abc")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "error"), [(503, Passing), (429, Passing), (404, StartupError), (403, StartupError)]
)
def test_a_busy_server_is_worth_another_attempt_and_a_refusing_one_is_not(
    tmp_path: Path, status: int, error: type[Exception]
) -> None:
    with serving(Server(status=status)) as server, pytest.raises(error, match=str(status)):
        fetch(tmp_path, server.url, MD5)


def test_a_server_that_is_not_there_is_worth_another_attempt(tmp_path: Path) -> None:
    with serving(Server()) as server:
        pass
    with pytest.raises(Passing, match="did not answer to the end"):
        fetch(tmp_path, server.url, MD5)


def official(path: Path, **changed: bytes) -> Path:
    """An archive as the official one is, of ten pictures a batch; `changed` replaces batches."""
    random = np.random.default_rng(0)
    with tarfile.open(path, "w:gz") as tar:
        for name in (name for names in BATCHES.values() for name in names):
            data = random.integers(0, 256, (10, 3072), dtype=np.uint8)
            batch = {b"data": data, b"labels": list(range(10)), b"batch_label": b"some"}
            content = changed.get(name, pickle.dumps(batch, protocol=3))  # of 2, ours would call a codec for bytes
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_the_official_archive_is_known_by_what_it_holds_and_read(tmp_path: Path) -> None:
    path = official(tmp_path / "archive")
    assert archive.is_official(path)
    arrays = read(path)
    assert [(pixels.shape, classes.shape) for pixels, classes in arrays.values()] == [
        ((50, 32, 32, 3), (50,)),
        ((10, 32, 32, 3), (10,)),
    ]
    first = np.random.default_rng(0).integers(0, 256, (10, 3072), dtype=np.uint8)[0]
    assert (arrays["train"][0][0, 0, 1] == first[[1, 1025, 2049]]).all()  # planes of red, green and blue, row by row


class Attack:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


def test_a_batch_that_would_run_a_program_is_refused_by_name_and_runs_nothing(tmp_path: Path) -> None:
    path = official(tmp_path / "archive", data_batch_2=pickle.dumps(Attack(f"touch {tmp_path}/ran"), protocol=3))
    with pytest.raises(
        StartupError, match=rf"Batch data_batch_2 of {path} cannot be used \(it wants to call \w+\.system\)"
    ):
        read(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle",
        pickle.dumps({b"labels": [0]}, protocol=3),
        pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 10]}, protocol=3),
        pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]}, protocol=3),
        pickle.dumps({b"data": np.zeros((2, 3072), np.float32), b"labels": [0, 1]}, protocol=3),
    ],
)
def test_a_damaged_batch_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = official(tmp_path / "archive", test_batch=content)
    with pytest.raises(StartupError, match=f"Batch test_batch of {path} cannot be used"):
        read(path)


def test_a_truncated_archive_is_refused_by_name(tmp_path: Path) -> None:
    whole = official(tmp_path / "whole").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StartupError, match="cut is no tar archive, or a damaged one"):
        read(tmp_path / "cut")
    (tmp_path / "text").write_text("no archive")
    with pytest.raises(StartupError, match="text is no tar archive"):
        archive.is_official(tmp_path / "text")
