"""The model artefact: one ONNX file that is loaded, verified, warmed up and asked for whole batches."""

import hashlib
import os
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from . import metadata as document
from .errors import ModelError
from .metadata import Metadata, Tensor

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when it is imported; else it reports to its maker
import onnxruntime

_DATATYPES = {"tensor(float)": "FP32", "tensor(int64)": "INT64", "tensor(uint8)": "UINT8"}
_NUMPY = {"FP32": np.float32, "INT64": np.int64, "UINT8": np.uint8}


class Model:
    """A verified model file and its one inference session.

    sha256: hex digest of the file, the model's identity. version: its first 12 digits, by which the Open Inference
    Protocol names it.
    """

    def __init__(self, path: Path, session: onnxruntime.InferenceSession, metadata: Metadata, sha256: str) -> None:
        self.path = path
        self.metadata = metadata
        self.sha256 = sha256
        self.version = sha256[:12]
        self._session = session
        self._input = metadata.inputs[0].name
        self._values = [metadata.outputs[1].name]  # probabilities, or scores
        self._label = [metadata.outputs[0].name]

    @classmethod
    def load(cls, path: Path, *, threads: int = 1) -> Self:
        """Read, verify and warm up the model in `path`, with `threads` threads for one inference.

        Raises: ModelError, with file and reason, if the file is missing, damaged, carries no valid metadata document or
        several, disagrees with its own document, or cannot answer its own sample.
        """
        try:
            return cls._load(path, threads)
        except ModelError as error:
            raise ModelError(
                f"Model {path} cannot be used: {error}. Build it with `make models`, or set MODEL_PATH."
            ) from error

    @classmethod
    def _load(cls, path: Path, threads: int) -> Self:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError((error.strerror or str(error)).lower()) from error
        documents = [value for key, value in document.properties(content) if key == document.PROPERTY]
        if len(documents) != 1:
            raise ModelError(f"it has {len(documents)} `{document.PROPERTY}` metadata properties instead of one")
        metadata = document.decode(documents[0])
        session = _session(content, threads)
        _compare("inputs", metadata.inputs, _tensors(session.get_inputs()))
        _compare("outputs", metadata.outputs, _tensors(session.get_outputs()))
        if (len(metadata.inputs), len(metadata.outputs)) != (1, 2):
            raise ModelError(f"it has the outputs {_text(metadata.outputs)} instead of a label and a vector")
        model = cls(path, session, metadata, hashlib.sha256(content).hexdigest())
        model.warm_up()
        return model

    def warm_up(self) -> None:
        """Predict the model's own sample, or a batch of one zero where it has none (a picture); this also allocates
        what the first request needs.

        Raises: ModelError if there is no answer, or none that is finite.
        """
        try:
            answer = self.predict(self._sample())
        except Exception as error:  # the runtime's exceptions share no base class of their own
            raise ModelError(f"it cannot predict its own sample ({str(error).splitlines()[0]})") from error
        if not np.isfinite(answer).all():
            raise ModelError("its prediction of its own sample is not finite")

    def _sample(self) -> NDArray[np.generic]:
        tensor = self.metadata.inputs[0]
        kind = _NUMPY[tensor.datatype]
        if self.metadata.sample:
            return np.array(self.metadata.sample, dtype=kind)
        return np.zeros([1 if size == -1 else size for size in tensor.shape], dtype=kind)

    def require(self, *, features: tuple[str, ...], labels: tuple[str, ...]) -> None:
        """Refuse a model that was trained for other features or classes than the service serves.

        Raises: ModelError naming what is expected and what the file has.
        """
        for what, expected, found in (
            ("features", features, self.metadata.features),
            ("labels", labels, self.metadata.labels),
        ):
            if list(expected) != found:
                problem = f"its {what} are {found}, and this service needs {list(expected)}"
                raise ModelError(f"Model {self.path} cannot be used: {problem}. Set MODEL_PATH to one that fits.")

    def predict(self, batch: NDArray[np.generic]) -> NDArray[np.float32]:
        """Probabilities [n, classes] of a batch [n, …] as the input declares it, or scores for a model without."""
        result: NDArray[np.float32] = self._session.run(self._values, {self._input: batch})[0]
        return result

    def classify(self, batch: NDArray[np.generic]) -> list[str]:
        """The label [n] of each row of a batch, by the model's own decision rule."""
        indices = self._session.run(self._label, {self._input: batch})[0]
        return [self.metadata.labels[index] for index in indices]


def _session(content: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # a refusal is raised; the same text need not be printed as well
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's exceptions share no base class of their own
        raise ModelError(f"ONNX Runtime refuses it ({str(error).splitlines()[0]})") from error


def _tensors(arguments: list[onnxruntime.NodeArg]) -> list[Tensor]:
    return [
        Tensor(
            name=argument.name,
            datatype=_DATATYPES.get(argument.type, argument.type),
            shape=[size if isinstance(size, int) else -1 for size in argument.shape],
        )
        for argument in arguments
    ]


def _compare(what: str, declared: list[Tensor], actual: list[Tensor]) -> None:
    if declared != actual:
        raise ModelError(f"its metadata declares the {what} {_text(declared)}, and its graph has {_text(actual)}")


def _text(tensors: list[Tensor]) -> str:
    return ", ".join(f"{tensor.name} {tensor.datatype}{tensor.shape}" for tensor in tensors)
