"""One job at a time through an idle queue, by a client that is told and by one that asks; and the model asked directly.

All return the seconds of each, from before the request is sent until the prediction is there.
"""

import http.client
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import grpc
import msgspec

from ..model_server.grpc_load import METHOD, TIMEOUT_S

POLL_S = 0.005


def times(count: int, once: Callable[[], object]) -> list[float]:
    """Seconds of each of so many calls, one after another."""
    found = []
    for _ in range(count):
        began = time.perf_counter()
        once()
        found.append(time.perf_counter() - began)
    return found


def asked_directly(port: int, request: bytes, count: int) -> list[float]:
    """A serialised request to the model server, over gRPC."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(METHOD)
        return times(count, lambda: call(request, timeout=TIMEOUT_S))


def told(port: int, body: bytes, count: int) -> list[float]:
    """Enqueue, then wait for the job's server-sent event."""
    with _connection(port) as posts, _connection(port) as events:
        return times(count, lambda: _told(events, _enqueued(posts, body)))


def polled(port: int, body: bytes, count: int) -> list[float]:
    """Enqueue, then ask for the job every POLL_S seconds."""
    with _connection(port) as posts:
        return times(count, lambda: _polled(posts, _enqueued(posts, body)))


def label(port: int, body: bytes) -> str:
    """What the service says of a picture."""
    with _connection(port) as posts:
        return _polled(posts, _enqueued(posts, body))


def _connection(port: int) -> "closing[http.client.HTTPConnection]":
    return closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30))


def _enqueued(posts: http.client.HTTPConnection, body: bytes) -> str:
    posts.request("POST", "/predict", body, {"Content-Type": "application/json"})
    job_id: str = _json(posts.getresponse())["job_id"]
    return job_id


def _polled(connection: http.client.HTTPConnection, job_id: str) -> str:
    while True:
        connection.request("GET", f"/job/{job_id}")
        if (found := _prediction(_json(connection.getresponse())[job_id])) is not None:
            return found
        time.sleep(POLL_S)


def _told(connection: http.client.HTTPConnection, job_id: str) -> str:
    connection.request("GET", f"/job/{job_id}/events")
    answer = connection.getresponse()
    if answer.status != http.client.OK:
        _json(answer)
    for line in answer:
        data = line.removeprefix(b"data:")
        if data != line and (found := _prediction(msgspec.json.decode(data)[job_id])) is not None:
            answer.read()  # the end, so that the connection can be used again
            return found
    raise RuntimeError(f"The events of job {job_id} ended before it was done.")


def _prediction(state: dict[str, Any]) -> str | None:
    """What was predicted; None if the job goes on. Raises: RuntimeError if it has ended otherwise."""
    if state["state"] in ("queued", "running"):
        return None
    if state["state"] != "done":
        raise RuntimeError(f"A job came to nothing: {state}")
    found: str = state["prediction"]
    return found


def _json(answer: http.client.HTTPResponse) -> dict[str, Any]:
    content = answer.read()
    if answer.status != http.client.OK:
        raise RuntimeError(f"status {answer.status}: {content.decode(errors='replace')[:200]}")
    found: dict[str, Any] = msgspec.json.decode(content)
    return found
