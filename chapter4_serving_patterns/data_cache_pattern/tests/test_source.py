"""Where raw items come from: a folder and an HTTP server that are slow, gone, hostile or wrong."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web as http

from mlsys import pictures
from mlsys.errors import BadGateway, DeadlineExceeded, NotFound, NotReady
from mlsys.picture import to_pixels
from mlsys.ports import free_port

from .. import source
from ..items import PIXELS, Items
from ..samples import SAMPLES, write
from ..source import Folder, Source
from ..value import Absent
from ..web import URL, Web

CAT = pictures.content("cat")
Respond = Callable[[http.Request], Awaitable[http.StreamResponse]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two items: a picture, and a file that is none."""
    (tmp_path / "cat.png").write_bytes(CAT)
    (tmp_path / "broken.png").write_bytes(CAT[:1000])
    index(tmp_path, {"0000": "cat.png", "0001": "broken.png", "0002": "gone.png"})
    return tmp_path


def index(folder: Path, names: object) -> None:
    (folder / "index.json").write_text(json.dumps(names))


def in_folder(path: Path, max_bytes: int = 1 << 20) -> Folder:
    return Folder(path, timeout_s=10, max_bytes=max_bytes)


async def indexed(source: Source) -> Items:
    items = Items(source, threads=1)
    await items.require_index()
    return items


@asynccontextmanager
async def server(respond: Respond) -> AsyncIterator[str]:
    """An HTTP server in this loop; its URL."""
    app = http.Application()
    app.router.add_get("/{tail:.*}", respond)
    runner = http.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = http.TCPSite(runner, "127.0.0.1", port := free_port())
    await site.start()
    try:
        yield f"http://127.0.0.1:{port}/items"
    finally:
        await runner.cleanup()


def read(respond: Respond, name: str = "cat.png", timeout_s: float = 10, max_bytes: int = 1 << 20) -> bytes:
    """What a Web source reads of a server that responds so."""

    async def scene() -> bytes:
        async with server(respond) as url:
            web = Web(url, timeout_s, max_bytes)
            try:
                return await web.read(name)
            finally:
                await web.close()

    return asyncio.run(scene())


def test_an_item_becomes_what_the_shared_transform_makes(folder: Path) -> None:
    async def scene() -> None:
        tensor = await (await indexed(in_folder(folder))).pixels("0000")
        assert PIXELS.fits(tensor)
        assert (tensor == to_pixels(CAT)).all()

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("0001", "its picture cannot be used: The picture is damaged or truncated"),
        ("0002", "the source has no file gone.png"),
        ("9999", "the index does not have it any more"),
    ],
)
def test_an_item_without_a_usable_picture_is_absent_and_the_reason_is_said(
    folder: Path, item: str, reason: str
) -> None:
    async def scene() -> None:
        with pytest.raises(Absent, match=reason):
            await (await indexed(in_folder(folder))).pixels(item)

    asyncio.run(scene())


@pytest.mark.parametrize("item", ["../cat.png", "cat.png", "/etc/passwd", "*", "00??", "", "0000\x00", "größe 猫"])
def test_an_id_is_looked_up_and_nothing_else(folder: Path, item: str) -> None:
    async def scene() -> None:
        items = await indexed(in_folder(folder))
        with pytest.raises(NotFound):
            items.require(item)
        with pytest.raises(Absent):
            await items.pixels(item)

    asyncio.run(scene())


@pytest.mark.parametrize(
    "names",
    [
        {"0000": "../cat.png"},
        {"0000": "/etc/passwd"},
        {"0000": "a/b.png"},
        {"0000": ".hidden"},
        {"0000": ""},
        {"0000": "x" * 300},
        {"": "cat.png"},
        {"0" * 65: "cat.png"},
        {"0000": 7},
        ["0000"],
        "0000",
    ],
)
def test_an_index_that_names_more_than_plain_files_is_not_used(folder: Path, names: object) -> None:
    index(folder, names)
    with pytest.raises(BadGateway, match=r"index\.json"):
        asyncio.run(source.index(in_folder(folder)))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_an_index_that_is_no_json_is_not_used(folder: Path, content: bytes) -> None:
    (folder / "index.json").write_bytes(content)
    with pytest.raises(BadGateway, match="is no JSON object"):
        asyncio.run(source.index(in_folder(folder)))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match=r"The source cannot be used: the source has no file index\.json"):
        asyncio.run(source.index(in_folder(tmp_path / "nowhere")))


def test_a_file_that_is_a_folder_is_not_read(folder: Path) -> None:
    (folder / "gone.png").mkdir()
    with pytest.raises(NotReady, match="Is a directory"):
        asyncio.run(in_folder(folder).read("gone.png"))


def test_a_larger_file_than_allowed_is_not_taken_from_a_folder(folder: Path) -> None:
    assert asyncio.run(in_folder(folder, max_bytes=len(CAT)).read("cat.png")) == CAT
    with pytest.raises(Absent, match=r"its file cat\.png has more than 999 bytes"):
        asyncio.run(in_folder(folder, max_bytes=999).read("cat.png"))


def test_a_folder_that_does_not_answer_is_given_up(folder: Path) -> None:
    os.mkfifo(folder / "slow.png")  # a read of it waits until somebody writes

    async def scene() -> None:
        with pytest.raises(DeadlineExceeded, match=r"slow\.png within 0\.2 s"):
            await Folder(folder, 0.2, 1 << 20).read("slow.png")
        os.close(os.open(folder / "slow.png", os.O_WRONLY))  # lets the thread end

    asyncio.run(scene())


def test_the_last_index_holds_while_it_cannot_be_read_and_the_new_one_when_it_can(folder: Path) -> None:
    async def scene() -> None:
        items = await indexed(in_folder(folder))
        (folder / "index.json").rename(folder / "away.json")
        await items.refresh()
        assert items.trouble
        items.require("0000")
        index(folder, {"0009": "cat.png"})
        await items.refresh()
        assert items.trouble is None
        items.require("0009")
        with pytest.raises(NotFound):
            items.require("0000")

    asyncio.run(scene())


def test_http_gives_the_file_and_asks_for_it_by_its_name_alone() -> None:
    asked: list[tuple[str, str | None]] = []

    async def respond(request: http.Request) -> http.Response:
        asked.append((request.raw_path, request.headers.get("Accept-Encoding")))
        return http.Response(body=CAT)

    assert read(respond) == CAT
    assert asked == [("/items/cat.png", "identity")]


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (404, Absent, "has no file"),
        (410, Absent, "has no file"),
        (503, NotReady, "answered 503"),
        (429, NotReady, "answered 429"),
        (500, NotReady, "answered 500"),
        (401, BadGateway, "answered 401"),
        (204, BadGateway, "answered 204"),
    ],
)
def test_what_http_answers_is_told_apart(status: int, error: type[Exception], message: str) -> None:
    async def respond(_: http.Request) -> http.Response:
        return http.Response(status=status)

    with pytest.raises(error, match=message):
        read(respond)


def test_a_redirect_is_not_followed() -> None:
    asked: list[str] = []

    async def respond(request: http.Request) -> http.Response:
        asked.append(request.path)
        raise http.HTTPFound("/items/elsewhere")

    with pytest.raises(BadGateway, match="answered 302"):
        read(respond)
    assert asked == ["/items/cat.png"]


def test_a_slow_server_is_given_up_in_time() -> None:
    async def respond(_: http.Request) -> http.Response:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(DeadlineExceeded, match=r"cat\.png within 0\.2 s"):
        read(respond, timeout_s=0.2)


def test_a_server_that_drips_is_given_up_in_time() -> None:
    async def respond(request: http.Request) -> http.StreamResponse:
        response = http.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        await asyncio.Event().wait()
        return response

    with pytest.raises(DeadlineExceeded):
        read(respond, timeout_s=0.3)


def test_a_body_without_end_is_cut_at_the_cap() -> None:
    async def respond(request: http.Request) -> http.StreamResponse:
        response = http.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 100_000)

    with pytest.raises(Absent, match="more than 1000000 bytes"):
        read(respond, max_bytes=1_000_000)


def test_a_body_that_is_cut_off_is_no_file() -> None:
    async def respond(request: http.Request) -> http.StreamResponse:
        response = http.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * 10)
        assert request.transport
        request.transport.abort()
        return response

    with pytest.raises(NotReady, match="does not give"):
        read(respond)


def test_a_server_that_is_not_there_is_named() -> None:
    async def scene() -> None:
        web = Web(f"http://127.0.0.1:{free_port()}", 2, 1000)
        with pytest.raises(NotReady, match=r"The source does not give http://127\.0\.0\.1"):
            await web.read("cat.png")
        await web.close()

    asyncio.run(scene())


@pytest.mark.parametrize(
    "place", ["models/items", "/items", "s3://bucket", "ftp://host/x", "http://", "http://host/?q"]
)
def test_what_is_no_http_url_is_a_folder(place: str) -> None:
    assert not URL.fullmatch(place)


def test_there_are_eight_samples_and_each_can_be_used(tmp_path: Path) -> None:
    pictures.write(tmp_path / "pictures")
    write(tmp_path / "pictures", tmp_path / "items")
    before = {file.name: file.read_bytes() for file in (tmp_path / "items").iterdir()}

    async def scene() -> None:
        items = await indexed(in_folder(tmp_path / "items"))
        assert list(items.names) == [f"{number:04}" for number in range(8)] == list(SAMPLES)
        tensors = [await items.pixels(item) for item in items.names]
        assert len({tensor.tobytes() for tensor in tensors}) == 8

    asyncio.run(scene())
    shutil.rmtree(tmp_path / "items")
    write(tmp_path / "pictures", tmp_path / "items")
    assert {file.name: file.read_bytes() for file in (tmp_path / "items").iterdir()} == before


def test_samples_of_photographs_that_are_not_there_are_not_made(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"cat\.png"):
        write(tmp_path, tmp_path / "items")


def test_a_source_that_has_lost_everything_has_not_lost_one_item(folder: Path) -> None:
    items = Items(in_folder(folder), threads=1)
    asyncio.run(items.require_index())
    folder.rename(folder.with_name("away"))
    with pytest.raises(NotReady, match="The source cannot be used"):
        asyncio.run(items.pixels("0000"))
