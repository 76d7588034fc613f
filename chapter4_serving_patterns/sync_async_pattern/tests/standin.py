"""A queue over HTTP that keeps what it is sent, and can be told to be full, to hang and to talk nonsense."""

import asyncio
import json
import threading
import uuid
from typing import Any, NamedTuple

from aiohttp import web

from mlsys.ports import free_port


class Sent(NamedTuple):
    """A job as it was sent."""

    headers: dict[str, str]
    body: dict[str, Any]


class StandIn:
    """Takes every job, and says of each that it is queued, until `finish`, or done with `label` if there is one."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.jobs: dict[str, str] = {}
        self.received: list[Sent] = []
        self.status = 200
        self.answer: bytes | None = None
        self.label = ""
        self.drops = 0
        self.open_streams = 0
        self._go = asyncio.Event()
        self._go.set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._runner = self._call(self._begin())

    def finish(self, job_id: str, label: str) -> None:
        """The slow model's answer is there."""
        self.jobs[job_id] = label

    def hang(self) -> None:
        """Take requests and answer none."""
        self._loop.call_soon_threadsafe(self._go.clear)

    def stop(self) -> None:
        """Be gone at once."""
        if self._thread.is_alive():
            self._call(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _call(self, work: Any) -> Any:  # noqa: ANN401  # a coroutine's result
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _begin(self) -> web.AppRunner:
        app = web.Application()
        app.add_routes(
            [
                web.post("/predict", self._predict),
                web.get("/job/{id}", self._job),
                web.get("/job/{id}/events", self._events),
                web.get("/ready", self._ready),
            ]
        )
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        return runner

    async def _end(self) -> None:
        self._go.set()  # what hangs would be forgotten, not ended
        await self._runner.cleanup()

    async def _predict(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Sent(headers, json.loads(await request.read())))
        await self._misbehave(request)
        if self.status != 200 or self.answer is not None:
            return web.Response(status=self.status, body=self.answer or b"{}", headers={"location": "/elsewhere"})
        job_id = str(uuid.uuid4())
        self.jobs[job_id] = self.label
        return web.json_response({"job_id": job_id})

    async def _job(self, request: web.Request) -> web.Response:
        await self._misbehave(request)
        job_id = request.match_info["id"]
        if self.status != 200 or self.answer is not None:
            return web.Response(status=self.status, body=self.answer or b"{}")
        if job_id not in self.jobs:
            return web.Response(status=404)
        return web.json_response(self._state(job_id))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        await self._misbehave(request)
        job_id = request.match_info["id"]
        if job_id not in self.jobs:
            return web.Response(status=404)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        self.open_streams += 1
        try:
            await response.write(b"data: " + json.dumps(self._state(job_id)).encode() + b"\n\n")
            while not self.jobs[job_id]:
                await asyncio.sleep(0.02)
                await response.write(b":\n\n")
            await response.write(b"data: " + json.dumps(self._state(job_id)).encode() + b"\n\n")
        finally:
            self.open_streams -= 1
        return response

    async def _ready(self, request: web.Request) -> web.Response:
        await self._misbehave(request)
        return web.json_response({}, status=self.status if self.status in (200, 503) else 200)

    async def _misbehave(self, request: web.Request) -> None:
        if self.drops and request.transport:
            self.drops -= 1
            request.transport.close()
        await self._go.wait()

    def _state(self, job_id: str) -> dict[str, Any]:
        label = self.jobs[job_id]
        return {job_id: {"prediction": label, "state": "done" if label else "queued"}}
