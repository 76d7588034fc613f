"""The routes by which model files come and go: in pieces both ways, so that a large file takes no more memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, BinaryIO

import msgspec
from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from mlsys.app import Service
from mlsys.errors import InvalidInput, ModelError, NotFound
from mlsys.openapi import example

from . import examples
from .artefacts import Store
from .incoming import CHUNK, Incoming, known
from .inspection import Facts
from .ranges import part, unchanged
from .settings import Settings

PREFIX = "/v1/api/artefacts"
BYTES = "application/octet-stream"
_STORE_WITHIN_S = 60.0
_SIGNATURE = {
    "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "label", "datatype": "INT64", "shape": [-1]}],
}
_EXAMPLE = "0" * 63 + "1"
_ANSWER = {"sha256": _EXAMPLE, "size_bytes": 4096, "signature": _SIGNATURE, "document": None}
_BODY = {"content": {BYTES: {"schema": {"type": "string", "format": "binary"}, "example": "the bytes of model.onnx"}}}
Digest = Annotated[str, Path(description="The file's own sha256, 64 hexadecimal digits.", examples=[_EXAMPLE])]


def add_transfers(
    service: Service, store: Store, settings: Settings, may_write: Callable[..., Awaitable[None] | None]
) -> None:
    """PUT, GET and HEAD of /v1/api/artefacts/{sha256}. may_write: the dependency that refuses who may not upload."""

    async def swept() -> None:
        await asyncio.to_thread(store.sweep)

    service.start_when("the store of the artefacts", swept, within_s=_STORE_WITHIN_S)
    service.allow(PREFIX, max_body_bytes=settings.max_artefact_bytes, timeout_s=settings.transfer_timeout_s)
    router = APIRouter(prefix=PREFIX, tags=["artefacts"])
    add_upload(router, store, may_write)
    add_download(router, store)
    service.include_router(router)


def add_upload(router: APIRouter, store: Store, may_write: Callable[..., Awaitable[None] | None]) -> None:
    """How a file comes."""
    one_at_a_time = asyncio.Semaphore(1)  # what loading a model takes is then a bound for the whole worker

    @router.put(
        "/{sha256}",
        status_code=201,
        dependencies=[Depends(may_write)],
        openapi_extra={"requestBody": _BODY},
        responses=examples.created(_ANSWER) | example(_ANSWER),
    )
    async def upload(sha256: Digest, request: Request) -> Response:
        """Upload a model file as the body. 201: it is new and was checked; 200: it was there; 422: it is no model."""
        facts = await asyncio.to_thread(known, store, sha256)
        with await asyncio.to_thread(Incoming, store) as incoming:
            await _receive(request, incoming)
            if incoming.digest() != sha256:
                raise InvalidInput(f"The body has the sha256 {incoming.digest()}, and the path says {sha256}.")
            if facts:
                return _described(facts, 200)
            try:
                async with one_at_a_time:
                    return _described(await asyncio.to_thread(incoming.keep), 201)
            except ModelError as error:
                raise InvalidInput(f"The body is no model that can be served: {error}.") from error


def add_download(router: APIRouter, store: Store) -> None:
    """How a file goes."""

    @router.get("/{sha256}", response_class=Response, responses=example("the bytes of model.onnx", BYTES))
    async def download(sha256: Digest, request: Request) -> Response:
        """The file, or with a Range header a part of it."""
        return await _answer(store, sha256, request)

    @router.head("/{sha256}", response_class=Response, include_in_schema=False)
    async def look(sha256: Digest, request: Request) -> Response:
        """As GET, without the file."""
        return await _answer(store, sha256, request)


async def _receive(request: Request, incoming: Incoming) -> None:
    waiting: list[bytes] = []
    size = 0
    try:
        async for piece in request.stream():
            waiting.append(piece)
            size += len(piece)
            if size >= CHUNK:
                await asyncio.to_thread(incoming.write, b"".join(waiting))
                waiting, size = [], 0
    except ClientDisconnect:
        raise InvalidInput("The body ended before it was whole.") from None  # nobody reads it; the log does
    await asyncio.to_thread(incoming.write, b"".join(waiting))


async def _answer(store: Store, sha256: str, request: Request) -> Response:
    facts = await asyncio.to_thread(store.facts, sha256)
    if facts is None:
        raise NotFound(f"There is no artefact {sha256}.")
    tag = f'"{sha256}"'
    headers = {"etag": tag, "accept-ranges": "bytes", "cache-control": "public, max-age=31536000, immutable"}
    if unchanged(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    wanted = request.headers.get("range", "") if request.headers.get("if-range", tag) == tag else ""
    start, stop = part(wanted, facts.size_bytes)
    status = 200
    if (start, stop) != (0, facts.size_bytes):
        status = 206
        headers["content-range"] = f"bytes {start}-{stop - 1}/{facts.size_bytes}"
    headers["content-length"] = str(stop - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=BYTES)
    file = await asyncio.to_thread(store.open, sha256, start)
    return StreamingResponse(_pieces(file, stop - start), status, headers, BYTES)


async def _pieces(file: BinaryIO, left: int) -> AsyncIterator[bytes]:
    try:
        while left and (piece := await asyncio.to_thread(file.read, min(CHUNK, left))):
            left -= len(piece)
            yield piece
    finally:
        file.close()


def _described(facts: Facts, status: int) -> Response:
    answer = msgspec.to_builtins(facts)
    answer["signature"] = {"inputs": answer.pop("inputs"), "outputs": answer.pop("outputs")}
    return Response(msgspec.json.encode(answer), status, media_type="application/json")
