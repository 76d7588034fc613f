"""tritonclient's two clients as one, since they differ only in how a tensor is put in and what an answer is."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tritonclient.grpc
import tritonclient.http
from numpy.typing import NDArray
from tritonclient.utils import np_to_triton_dtype

from mlsys.testing import eventually

Array = NDArray[Any]


class Answered(NamedTuple):
    """The whole of one answer."""

    arrays: dict[str, Array]
    id: str
    model: str
    version: str


class Front:
    """One way to a server. `name` is "rest-binary", "rest-json" or "grpc"; `client` is tritonclient's own."""

    def __init__(self, name: str, target: str) -> None:
        self.name = name
        self.is_rest = name != "grpc"
        self.module: Any = tritonclient.http if self.is_rest else tritonclient.grpc
        more = {"concurrency": 8, "connection_timeout": 10, "network_timeout": 10} if self.is_rest else {}
        self.client: Any = self.module.InferenceServerClient(target, **more)
        self.json = {} if self.is_rest else {"as_json": True}

    def close(self) -> None:
        """Close its connections, for good: tritonclient would do it again in whatever thread collects the client."""
        self.client.close()
        self.client.close = lambda: None

    def inputs(self, feeds: Mapping[str, Array]) -> list[Any]:
        """The client's own input objects."""
        tensors = []
        for name, array in feeds.items():
            tensor = self.module.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
            tensor.set_data_from_numpy(array, **self._binary())
            tensors.append(tensor)
        return tensors

    def outputs(self, names: Sequence[str]) -> list[Any]:
        """The client's own requested outputs."""
        return [self.module.InferRequestedOutput(name, **self._binary()) for name in names]

    def infer(
        self, model: str, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None, **more: object
    ) -> Answered:
        """Ask the model for these outputs; for all of them, by naming none, if `outputs` is None.

        Over JSON they are named nevertheless: the client asks for binary data where it is told nothing.
        """
        if outputs is None and self.name == "rest-json":
            outputs = [output["name"] for output in self.metadata(model)["outputs"]]
        asked = None if outputs is None else self.outputs(outputs)
        return self.answered(self.client.infer(model, self.inputs(feeds), outputs=asked, **more))

    def answered(self, result: Any) -> Answered:  # noqa: ANN401  # of either client
        """Take the client's result apart."""
        if self.is_rest:
            answer = result.get_response()
        else:
            message = result.get_response(as_json=False)
            answer = {
                "id": message.id,
                "model_name": message.model_name,
                "model_version": message.model_version,
                "outputs": [{"name": output.name} for output in message.outputs],
            }
        arrays = {output["name"]: result.as_numpy(output["name"]) for output in answer["outputs"]}
        return Answered(arrays, answer.get("id", ""), answer["model_name"], answer.get("model_version", ""))

    def metadata(self, model: str, **more: str) -> dict[str, Any]:
        """The model's metadata; sizes are numbers also over gRPC, whose JSON has them as strings."""
        found: dict[str, Any] = self.client.get_model_metadata(model, **self.json, **more)
        for tensor in [*found["inputs"], *found["outputs"]]:
            tensor["shape"] = [int(size) for size in tensor["shape"]]
        return found

    def index(self) -> dict[str, dict[str, str]]:
        """The repository's index, by name."""
        found: Any = self.client.get_model_repository_index(**self.json)
        return {entry["name"]: entry for entry in (found if self.is_rest else found["models"])}

    def together(self, model: str, batches: Sequence[Mapping[str, Array]]) -> list[Answered]:
        """Send all by `async_infer` before any answer is read."""
        outputs = self.outputs([output["name"] for output in self.metadata(model)["outputs"]])
        if self.is_rest:
            pending = [self.client.async_infer(model, self.inputs(feeds), outputs=outputs) for feeds in batches]
            return [self.answered(each.get_result()) for each in pending]
        return self._together_by_grpc(model, batches, outputs)

    def _together_by_grpc(
        self, model: str, batches: Sequence[Mapping[str, Array]], outputs: list[Any]
    ) -> list[Answered]:
        answers: dict[int, Any] = {}

        def keep(number: int) -> Callable[[Any, Any], None]:
            return lambda result, error: answers.__setitem__(number, error or result)

        contexts = [
            self.client.async_infer(model, self.inputs(feeds), keep(number), outputs=outputs, client_timeout=10)
            for number, feeds in enumerate(batches)
        ]
        assert len(contexts) == len(batches)
        eventually(lambda: len(answers) == len(batches), deadline_s=10)
        failed = [error for error in answers.values() if isinstance(error, Exception)]
        assert not failed, failed
        return [self.answered(answers[number]) for number in range(len(batches))]

    def _binary(self) -> dict[str, bool]:
        return {"binary_data": self.name == "rest-binary"} if self.is_rest else {}


def floats(*rows: Sequence[float]) -> NDArray[np.float32]:
    """An FP32 array."""
    return np.array(rows, np.float32)
