"""The other side of the comparison: the pattern's prep, with the model in the same process instead of behind gRPC."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from chapter4_serving_patterns.prep_pred_pattern.app import assemble
from chapter4_serving_patterns.prep_pred_pattern.settings import Settings
from mlsys.app import Service
from mlsys.model import Model
from mlsys.remote import Declared


class LocalModel:
    """A model file, asked in threads of its own as the model server does."""

    def __init__(self, model: Model, threads: int) -> None:
        about = model.metadata
        self._declared = Declared(about.name, model.version, about.inputs, about.outputs, about.labels)
        self._network = model.network
        self._pool = ThreadPoolExecutor(threads)

    async def declared(self, *, timeout_s: float) -> Declared:  # noqa: ARG002  # the shape of a remote model's
        """What the file says."""
        return self._declared

    async def infer(self, batch: NDArray[Any], declared: Declared, *, timeout_s: float) -> dict[str, NDArray[Any]]:
        """The declared outputs."""
        names = [output.name for output in declared.outputs]
        feeds = {declared.inputs[0].name: batch}
        work = asyncio.get_running_loop().run_in_executor(self._pool, self._network.run, feeds, names)
        found = await asyncio.wait_for(work, timeout_s)
        return dict(zip(names, found, strict=True))


def create_app() -> Service:
    """Prep and model in one process. FUSED_MODEL: file; INFERENCES: how many at a time; MODEL_THREADS: of each."""
    model = Model.load(Path(os.environ["FUSED_MODEL"]), threads=int(os.environ["MODEL_THREADS"]))
    return assemble(Settings(), LocalModel(model, int(os.environ["INFERENCES"])))
