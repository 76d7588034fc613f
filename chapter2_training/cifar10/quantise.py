"""The same network in 8 bits: quicker where the processor multiplies bytes, and refused where it has become worse.

Static: the range of each activation is measured once, on training pictures. Per channel: each filter has its own scale.
"""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from mlsys import export

LOSS = 0.01
"""Accuracy that it may cost."""
OPERATORS = ["Conv", "Relu"]
"""Measured: with maxima, sums and the last matrix in 8 bits as well an answer takes 15 % longer, and is no better."""


class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    """Gives training pictures uint8 [n, 32, 32, 3], 64 at a time."""

    def __init__(self, pictures: NDArray[np.uint8]) -> None:
        self._batches: Iterator[NDArray[np.uint8]] = iter(np.split(pictures, range(64, len(pictures), 64)))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next batch, None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {"input": batch}


def quantised(graph: export.Message, pictures: NDArray[np.uint8]) -> export.Message:
    """The graph with 8-bit convolutions, calibrated on the pictures [n, 32, 32, 3], which are of the training part.

    Weights have 7 bits: on processors without VNNI, sums of two products of 8 bits overflow the 16 bits they get.
    """
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises a step that `building` has done, batch norms folded
    try:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
            onnx.save(graph, source)
            quantize_static(
                source,
                target,
                Reader(pictures),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=OPERATORS,
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
            return onnx.load(target)
    finally:
        root.setLevel(level)


def refusal(name: str, accuracy: float, exact: float) -> str | None:
    """Why the 8-bit variant of an accuracy must not be released beside the exact one; None if it may."""
    if exact - accuracy <= LOSS:
        return None
    return (
        f"{name} is refused: it is right about {accuracy:.2%} of the test pictures, the exact network about "
        f"{exact:.2%}, and {100 * LOSS:g} point may be lost. No file was written for it."
    )
