"""Any ONNX file as a function from named tensors to named tensors; mlsys.model adds what a model of this house has."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from . import metadata as document
from .errors import ModelError
from .metadata import Metadata, Tensor

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when it is imported; else it reports to its maker
import onnxruntime

Array = NDArray[Any]

NUMPY: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype("O"),
}
"""The data types of the Open Inference Protocol, little-endian as it sends them. BYTES is an array of str here."""
_ONNX = {
    "tensor(bool)": "BOOL",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
} | {f"tensor({kind}int{bits})": f"{kind}int{bits}".upper() for kind in ("", "u") for bits in (8, 16, 32, 64)}


class Network:
    """A verified ONNX file and its one inference session, which any number of threads may use at once.

    sha256: hex digest of the file, its identity. version: its first 12 digits, by which the Open Inference Protocol
    names it. metadata: the document in the file, None if it has none.
    """

    def __init__(self, path: Path, content: bytes, *, threads: int = 1) -> None:
        """From the bytes of the file. Raises: ModelError with the reason alone, in lower case."""
        found = documents(content)
        if len(found) > 1:
            raise ModelError(f"it has {len(found)} `{document.PROPERTY}` metadata properties instead of one")
        self.path = path
        self.metadata: Metadata | None = document.decode(found[0]) if found else None
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.version = self.sha256[:12]
        self._session = _session(content, threads)
        self.inputs = _tensors("input", self._session.get_inputs())
        self.outputs = _tensors("output", self._session.get_outputs())
        if self.metadata:
            _compare("inputs", self.metadata.inputs, self.inputs)
            _compare("outputs", self.metadata.outputs, self.outputs)

    @classmethod
    def load(cls, path: Path, *, threads: int = 1) -> Self:
        """Read, verify and warm up the file in `path`, with `threads` threads for one inference.

        Raises: ModelError, with file and reason, if the file is missing, damaged, carries a damaged document or
        several, disagrees with its own document, or cannot answer its own sample (a batch of one zero if it has none).
        """
        try:
            network = cls(path, read(path), threads=threads)
            network.warm_up()
        except ModelError as error:
            raise ModelError(f"Model {path} cannot be used: {error}.") from error
        return network

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> list[Array]:
        """The outputs named, in that order, all by default. Raises: what ONNX Runtime does, which has no base class."""
        found: list[Array] = self._session.run(outputs, feeds)
        return found

    def warm_up(self) -> None:
        """Answer a sample, which also allocates what the first request needs. Raises: ModelError if that fails."""
        try:
            self.run(self.sample())
        except Exception as error:  # the runtime's exceptions share no base class of their own
            raise ModelError(f"it cannot predict its own sample ({str(error).splitlines()[0]})") from error

    def sample(self, rows: int = 1) -> dict[str, Array]:
        """A batch of `rows`: the document's sample again and again; zeros (empty texts) where there are no features.

        Free dimensions other than the first are 1.
        """
        if self.metadata and self.metadata.features and len(self.inputs) == 1:
            row = np.array(self.metadata.sample, dtype=NUMPY[self.inputs[0].datatype])
            return {self.inputs[0].name: np.repeat(row, rows, axis=0)}
        return {tensor.name: _zeros(tensor, rows) for tensor in self.inputs}

    def stacks(self) -> bool:
        """Whether requests can be stacked along the first dimension: it is free, and two rows in are two rows out.

        That a row's answer does not depend on its neighbours cannot be seen from outside, and is taken for granted.
        """
        if not self.inputs or any(tensor.shape[:1] != [-1] for tensor in (*self.inputs, *self.outputs)):
            return False
        try:
            return all(array.shape[0] == 2 for array in self.run(self.sample(rows=2)))
        except Exception:  # the runtime's exceptions share no base class of their own
            return False


def read(path: Path) -> bytes:
    """The file's content. Raises: ModelError with the reason alone."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError((error.strerror or str(error)).lower()) from error


def documents(content: bytes) -> list[str]:
    """The metadata documents in a file's content, undecoded. Raises: ModelError if it is not whole."""
    return [value for key, value in document.properties(content) if key == document.PROPERTY]


def text(tensors: Sequence[Tensor]) -> str:
    """Tensors for a person: `input FP32[-1, 4]`."""
    return ", ".join(f"{tensor.name} {tensor.datatype}{tensor.shape}" for tensor in tensors)


def _session(content: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it takes the core that others work on
    options.log_severity_level = 4  # a refusal is raised; the same text need not be printed as well
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's exceptions share no base class of their own
        raise ModelError(f"ONNX Runtime refuses it ({str(error).splitlines()[0]})") from error


def _tensors(what: str, arguments: list[onnxruntime.NodeArg]) -> list[Tensor]:
    for argument in arguments:
        if argument.type not in _ONNX:
            raise ModelError(f"its {what} {argument.name} is a {argument.type}, which no protocol here can carry")
    return [
        Tensor(
            name=argument.name,
            datatype=_ONNX[argument.type],
            shape=[size if isinstance(size, int) else -1 for size in argument.shape],
        )
        for argument in arguments
    ]


def _zeros(tensor: Tensor, rows: int) -> Array:
    shape = [max(size, 1) for size in tensor.shape]
    if tensor.shape[:1] == [-1]:
        shape[0] = rows
    return np.full(shape, "", dtype=object) if tensor.datatype == "BYTES" else np.zeros(shape, NUMPY[tensor.datatype])


def _compare(what: str, declared: list[Tensor], actual: list[Tensor]) -> None:
    if declared != actual:
        raise ModelError(f"its metadata declares the {what} {text(declared)}, and its graph has {text(actual)}")
