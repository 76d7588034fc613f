"""Takes the figures: how long one job takes, how many the model server and the workers do, how many are enqueued."""

import base64
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
from PIL import Image
from tritonclient.grpc import service_pb2

from chapter4_serving_patterns.asynchronous_pattern.jobs import STREAM
from chapter4_serving_patterns.asynchronous_pattern.settings import Settings
from mlsys import pictures
from mlsys.model import Model
from mlsys.picture import to_pixels

from .. import load
from ..load import ROOT
from . import cells, waiting
from .cells import Sample
from .enqueue import Enqueued
from .stack import WORKERS, Stack

BATCH: int = Settings.model_fields["batch"].default
IN_FLIGHT: int = WORKERS * Settings.model_fields["lanes"].default
"""Batches that the model server is sent at a time, by the workers and without them."""
CLIENTS = 64
DEPTH = 512
"""Jobs that wait while the API fills the queue."""
SETTLING = 4 * BATCH
"""Jobs that must be done before the clock runs."""
ENQUEUED = 6000
"""Jobs by `Jobs.enqueue` for each figure."""
_LIMIT_S = 120.0


class Bench:
    """What all measurements share: the picture, the length of each, and a folder for files."""

    def __init__(self, models: Path, *, seconds: int, count: int, scratch: Path) -> None:
        self._models, self._seconds, self._count = models, seconds, count
        picture = small(pictures.content("cat"))
        (scratch / "picture.png").write_bytes(picture)
        self._picture = scratch / "picture.png"
        self._body = msgspec.json.encode({"image_data": base64.b64encode(picture).decode()})
        (scratch / "body.json").write_bytes(self._body)
        self._pixels = to_pixels(picture)
        self._scratch = scratch
        self.size = len(picture)

    def stack(self, model: str) -> Stack:
        """The processes for a model."""
        return Stack(model, self._models, self._picture, self._scratch)

    def warm_up(self, stack: Stack) -> None:
        """Prove that the service says what the model says, and leave everything paused.

        Raises: RuntimeError if it does not start, or says something else.
        """
        stack.until_ready()
        model = Model.load(self._models / stack.model / "model.onnx")
        expected, found = model.classify(self._pixels[None])[0], waiting.label(stack.api.port, self._body)
        if found != expected:
            raise RuntimeError(f"{stack.model} says {expected}, and the service {found}.")
        waiting.told(stack.api.port, self._body, 20)
        stack.pause()

    def sample(self, stack: Stack, what: str) -> Sample:
        """One figure. Raises: RuntimeError if a request fails, or the queue ran empty."""
        ways: dict[str, Callable[[Stack], Sample]] = {
            cells.DIRECT: self._direct,
            cells.TOLD: self._told,
            cells.POLLED: self._polled,
            cells.ALONE: self._alone,
            cells.DRAINED: self._drained,
            cells.WHOLE: self._whole,
            cells.BY_API: self._by_api,
            cells.BY_CALL: self._by_call,
        }
        try:
            return ways[what](stack)
        finally:
            stack.pause()
            stack.redis.flushall()

    def _direct(self, stack: Stack) -> Sample:
        stack.resume("model server")
        return cells.times(
            waiting.asked_directly(stack.rpc_port, request(stack.model, self._pixels[None]), self._count)
        )

    def _told(self, stack: Stack) -> Sample:
        stack.resume()
        return cells.times(waiting.told(stack.api.port, self._body, self._count))

    def _polled(self, stack: Stack) -> Sample:
        stack.resume()
        return cells.times(waiting.polled(stack.api.port, self._body, self._count))

    def _alone(self, stack: Stack) -> Sample:
        """The model server, asked for batches as the workers ask, over gRPC."""
        stack.resume("model server")
        file = self._scratch / "batch.bin"
        file.write_bytes(request(stack.model, np.repeat(self._pixels[None], BATCH, axis=0)))
        program = "benchmarks.model_server.grpc_load"
        before = stack.cpu_seconds()
        said = self._run(program, str(stack.rpc_port), str(file), str(IN_FLIGHT), str(self._seconds))
        found, after = load.parse(said), stack.cpu_seconds()
        used = {name: after[name] - before[name] for name in after}
        return cells.rate(found.requests * BATCH, found.duration_us / 1e6, used)

    def _drained(self, stack: Stack) -> Sample:
        """A queue that was filled before, while nothing else runs: what the workers make of the model server."""
        enough = int(1.3 * self._alone(stack).per_second * (self._seconds + 1)) + SETTLING
        stack.pause()
        self._enqueue(stack, enough)
        stack.resume("model server", "worker")
        return self._done(stack)

    def _whole(self, stack: Stack) -> Sample:
        """The API takes jobs meanwhile, as many as are done: all of the pattern on the same cores."""
        stack.resume()
        arguments = (str(self._scratch / "body.json"), str(CLIENTS), str(DEPTH), str(self._seconds + 4))
        posting = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.asynchronous.posting", str(stack.api.port), *arguments], cwd=ROOT
        )
        try:
            sample = self._done(stack, posting)
            if posting.wait(_LIMIT_S):
                raise RuntimeError("A request to the API failed.")
            return sample
        finally:
            posting.kill()
            posting.wait()

    def _done(self, stack: Stack, posting: "subprocess.Popen[bytes] | None" = None) -> Sample:
        """Count what is done, from some jobs after the start for so many seconds."""
        finished(stack, SETTLING, posting)
        before, began, done = stack.cpu_seconds(), time.perf_counter(), finished(stack)
        time.sleep(self._seconds)
        after, took, done = stack.cpu_seconds(), time.perf_counter() - began, finished(stack) - done
        if not posting and not stack.redis.xlen(STREAM):  # what is posted may be done at once
            raise RuntimeError(f"{stack.model}: the queue ran empty; the figure is too low.")
        return cells.rate(done, took, {name: after[name] - before[name] for name in after})

    def _by_api(self, stack: Stack) -> Sample:
        """POST /predict while the workers are paused."""
        stack.resume("API")
        body = f"@{self._scratch / 'body.json'}"
        before = stack.cpu_seconds()
        found = load.run(
            load.command(str(stack.api.port), "/predict", body, self._seconds, connections=CLIENTS, headers=[])
        )
        after = stack.cpu_seconds()
        used = {name: after[name] - before[name] for name in after}
        return cells.rate(found.requests, found.duration_us / 1e6, used)

    def _by_call(self, stack: Stack) -> Sample:
        """`Jobs.enqueue` in one process, while the workers are paused."""
        return Sample(per_second=self._enqueue(stack, ENQUEUED).per_second)

    def _enqueue(self, stack: Stack, count: int) -> Enqueued:
        arguments = (str(self._picture), str(CLIENTS), str(count))
        said = self._run("benchmarks.asynchronous.enqueue", *arguments, **stack.environment())
        return msgspec.json.decode(said.splitlines()[-1], type=Enqueued)

    def _run(self, module: str, *arguments: str, **environment: str) -> str:
        command = [sys.executable, "-m", module, *arguments]
        around = os.environ | environment
        done = subprocess.run(command, cwd=ROOT, env=around, stdout=-1, text=True, check=True, timeout=_LIMIT_S)
        return done.stdout


def small(content: bytes) -> bytes:
    """A picture as a PNG file of 32 × 32 pixels, so that decoding it is the least of the work."""
    written = io.BytesIO()
    Image.fromarray(to_pixels(content)).save(written, "PNG", optimize=True)
    return written.getvalue()


def request(model: str, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    """A serialised request for the probabilities of a batch [n, 32, 32, 3]."""
    message = service_pb2.ModelInferRequest(model_name=model, raw_input_contents=[pixels.tobytes()])
    message.inputs.add(name="input", shape=list(pixels.shape), datatype="UINT8")
    message.outputs.add(name="probabilities")
    content: bytes = message.SerializeToString()
    return content


def finished(stack: Stack, at_least: int = 0, posting: "subprocess.Popen[bytes] | None" = None) -> int:
    """How many jobs are done since the queue was emptied; waits until it is so many, while they are posted.

    Raises: RuntimeError if they are not.
    """
    end = time.monotonic() + _LIMIT_S
    while (done := _finished(stack)) < at_least:
        if time.monotonic() > end or (posting and posting.poll()):
            raise RuntimeError(f"{stack.model}: {done} jobs were done, and then no more.")
        time.sleep(0.01)
    return done


def _finished(stack: Stack) -> int:
    with stack.redis.pipeline() as both:
        both.hget("{jobs}:pace", "seq")
        both.xlen(STREAM)
        enqueued, left = both.execute()
    return int(enqueued or 0) - int(left)
