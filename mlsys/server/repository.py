"""The models of a server: found in folders, loaded, unloaded, replaced, and asked by name."""

import asyncio
import re
from collections.abc import Collection, Coroutine, Hashable, Iterator, Mapping
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import structlog

from ..errors import InvalidRequest, ModelError, NotFound, ServiceError, StartupError
from ..network import Array, Network
from .batcher import Batcher, Engine, Limits
from .settings import Settings
from .statistics import Counted, Statistics

FILE = "model.onnx"
Question = tuple[Mapping[str, Array], list[str]]
"""What one request asks: inputs by name, and names of outputs."""


class Entry(NamedTuple):
    """What the index says of a model. `state` is READY or UNAVAILABLE."""

    name: str
    version: str
    state: str
    reason: str


class Served:
    """One loaded model. Without `batcher` an inference runs where it is awaited, on the event loop."""

    def __init__(self, name: str, network: Network) -> None:
        self.name = name
        self.network = network
        self.batcher: Batcher | None = None
        self.counted: Counted | None = None
        self._stacks = False

    def batch(self, engine: Engine, limits: Limits, counted: Counted, *, stacks: bool) -> "Served":
        """Let the engine's threads compute it, requests together if it `stacks` (mlsys.network); the same object."""
        self.batcher = Batcher(engine, self.compute, limits, counted.observe)
        self.counted = counted
        self._stacks = stacks
        return self

    async def infer(self, feeds: Mapping[str, Array], outputs: list[str], timeout_s: float | None) -> list[Array]:
        """The outputs, in that order. `feeds` are what the network declares: mlsys.server.tensors sees to it.

        Raises: InvalidRequest if the network cannot compute it; OverCapacity, DeadlineExceeded.
        """
        if self.network.metadata:  # another file's network may take a NaN for a value that is missing
            _require_finite(feeds)
        try:
            if self.batcher is None or self.counted is None:
                return self.compute([(feeds, outputs)])[0]
            return await self._submit(self.batcher, self.counted, (feeds, outputs), timeout_s)
        except ServiceError:
            raise
        except Exception as error:  # the runtime's exceptions share no base class of their own
            raise InvalidRequest(f"Model {self.name!r} cannot compute this input: {_reason(error)}.") from error

    def compute(self, questions: list[Question]) -> list[list[Array]]:
        """The outputs of each question; all have the same key."""
        feeds, outputs = questions[0]
        if len(questions) == 1:
            return [self.network.run(feeds, outputs)]
        stacked = {name: np.concatenate([feeds[name] for feeds, _ in questions]) for name in feeds}
        arrays = self.network.run(stacked, outputs)
        ends = list(accumulate((len(next(iter(feeds.values()))) for feeds, _ in questions), initial=0))
        if any(len(array) != ends[-1] for array in arrays):
            raise InvalidRequest(f"Model {self.name!r} does not answer row by row.")  # then each is computed alone
        return [[array[begin:end] for array in arrays] for begin, end in pairwise(ends)]

    async def _submit(
        self, batcher: Batcher, counted: Counted, question: Question, timeout_s: float | None
    ) -> list[Array]:
        feeds, outputs = question
        rows = 1
        key: Hashable = object()  # equal to no other
        if self._stacks:
            rows, *others = [len(array) for array in feeds.values()]
            if any(other != rows for other in others):
                raise InvalidRequest(f"The inputs have {[rows, *others]} rows; they must have equally many.")
            key = (tuple(outputs), tuple((name, feeds[name].shape[1:]) for name in sorted(feeds)))
        counted.in_progress += 1
        try:
            answer: list[Array] = await batcher.submit(question, rows=rows, key=key, timeout_s=timeout_s)
        finally:
            counted.in_progress -= 1
        return answer


def _require_finite(feeds: Mapping[str, Array]) -> None:
    for name, array in feeds.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InvalidRequest(f"Input {name!r} has a NaN or an infinity, and the model knows only numbers.")


def _reason(error: Exception) -> str:
    """What the runtime says, without the place in its source."""
    said = (str(error) or type(error).__name__).splitlines()[0]
    return re.sub(r"^.*Status Message: (/\S+:\d+ )?", "", said).rstrip(".")


class Models:
    """Models that are loaded, by name."""

    def __init__(self, *served: Served) -> None:
        self._served = {one.name: one for one in served}

    def __iter__(self) -> Iterator[Served]:
        return iter(self._served.values())

    def get(self, name: str, version: str = "") -> Served:
        """The model of this name; a version, if given, must be the one that is loaded. Raises: NotFound."""
        served = self._served.get(name)
        if served is None:
            raise NotFound(self._why_not(name))
        if version and version != served.network.version:
            raise NotFound(f"Model {name!r} has no version {version[:80]!r}; it has {served.network.version}.")
        return served

    def _why_not(self, name: str) -> str:
        return f"There is no model {name[:80]!r}; there are {', '.join(self._served) or 'none'}."


class Repository(Models):
    """Models in folders. A name is that of a folder that holds a model.onnx; nothing a caller sends becomes a path."""

    def __init__(self, settings: Settings, statistics: Statistics, engine: Engine) -> None:
        """Loads all that is there. Raises: StartupError."""
        super().__init__()
        self._settings = settings
        self._statistics = statistics
        self._engine = engine
        self._reasons: dict[str, str] = {}
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        found = self._find()
        if strangers := settings.model_options.keys() - found:
            wrong, right = ", ".join(sorted(strangers)), ", ".join(found)
            raise StartupError(f"MODEL_OPTIONS names {wrong}; the models are {right}. Correct the name.")
        for name, path in found.items():
            self._served[name] = self._serve(name, *self._open(path))
        self._show()

    def index(self, *, ready: bool = False) -> list[Entry]:
        """All that is in the folders now, loaded or not; with `ready` only what is loaded."""
        names = self._served if ready else sorted(self._served.keys() | self._look())
        return [self._entry(name) for name in names]

    async def load(self, name: str, parameters: Collection[str] = ()) -> None:
        """Read the model's file, again if it is loaded, and put what is in it in the place of what was served before.

        Requests that have begun are answered by the old one. Raises: NotFound; InvalidRequest if there are parameters
        (another configuration, files that are sent along) or the file cannot be used: then what was served still is.
        """
        if parameters:
            raise InvalidRequest(f"A load takes no parameters here, and not {', '.join(parameters)[:80]}.")
        await self._to_its_end(self._load(name))

    async def unload(self, name: str) -> None:
        """Stop serving the model; returns when the requests that have begun are answered. Raises: NotFound."""
        await self._to_its_end(self._unload(name))

    async def _load(self, name: str) -> None:
        async with self._lock:
            path = self._look().get(name)
            if path is None:
                raise NotFound(f"There is no model {name[:80]!r} in the folders of this server.")
            try:
                opened = await asyncio.to_thread(self._open, path)
            except ModelError as error:
                self._reasons[name] = f"The file that is there now cannot be used: {error}"
                raise InvalidRequest(str(error)) from error
            old, self._served[name] = self._served.get(name), self._serve(name, *opened)
            self._reasons.pop(name, None)
            self._show()
        if old and old.batcher:
            await old.batcher.close()

    async def _unload(self, name: str) -> None:
        async with self._lock:
            if name not in self._served and name not in self._look():
                raise NotFound(self._why_not(name))
            old = self._served.pop(name, None)
            self._reasons[name] = "It has been unloaded."
            self._show()
        if old and old.batcher:
            await old.batcher.close()

    def _why_not(self, name: str) -> str:
        if name in self._reasons:
            return f"Model {name!r} is not loaded. {self._reasons[name]}"
        return super()._why_not(name)

    def _entry(self, name: str) -> Entry:
        if served := self._served.get(name):
            return Entry(name, served.network.version, "READY", self._reasons.get(name, ""))
        return Entry(name, "", "UNAVAILABLE", self._reasons.get(name, "It has not been loaded."))

    def _open(self, path: Path) -> tuple[Network, bool]:
        """The network, and whether requests can be stacked."""
        network = Network.load(path, threads=self._settings.model_threads)
        return network, network.stacks()

    def _serve(self, name: str, network: Network, stacks: bool) -> Served:
        counted, limits = self._statistics.of(name), self._settings.limits(name)
        return Served(name, network).batch(self._engine, limits, counted, stacks=stacks)

    async def _to_its_end(self, work: Coroutine[None, None, None]) -> None:
        """Wait for the work, which goes on when its caller does not wait so long."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # said already, if it was awaited
        await asyncio.shield(task)

    def _show(self) -> None:
        loaded = {name: served.network.sha256 for name, served in self._served.items()}
        self._statistics.show(loaded)
        structlog.get_logger("mlsys.server").info("models", loaded=loaded)

    def _look(self) -> dict[str, Path]:
        try:
            return self._find()
        except StartupError as error:  # it was right when the server started
            raise InvalidRequest(str(error)) from error

    def _find(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for folder in self._settings.models:
            files = [folder / FILE] if (folder / FILE).exists() else sorted(folder.glob(f"*/{FILE}"))
            if not files:
                raise StartupError(f"MODELS={folder} holds no {FILE}, and no folder that does.")
            for file in files:
                name = file.absolute().parent.name
                if name in found:
                    raise StartupError(f"Two models are called {name!r}: {found[name]} and {file}. Rename a folder.")
                found[name] = file
        return found
