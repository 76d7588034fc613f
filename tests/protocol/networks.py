"""Small networks whose right answer a test can say itself: sums, identities, one that takes its time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

DATATYPES = {
    "BOOL": (TensorProto.BOOL, np.bool_),
    "UINT8": (TensorProto.UINT8, np.uint8),
    "UINT16": (TensorProto.UINT16, np.uint16),
    "UINT32": (TensorProto.UINT32, np.uint32),
    "UINT64": (TensorProto.UINT64, np.uint64),
    "INT8": (TensorProto.INT8, np.int8),
    "INT16": (TensorProto.INT16, np.int16),
    "INT32": (TensorProto.INT32, np.int32),
    "INT64": (TensorProto.INT64, np.int64),
    "FP16": (TensorProto.FLOAT16, np.float16),
    "FP32": (TensorProto.FLOAT, np.float32),
    "FP64": (TensorProto.DOUBLE, np.float64),
}
"""The protocol's numeric datatypes, with ONNX's and numpy's name of each."""
TRIPS = 10_000
"""Rounds of the slow network, which make an inference of one row take some tens of milliseconds."""

Shape = Sequence[int | str]


def write_all(folder: Path) -> None:
    """Write each network to `<folder>/<name>/model.onnx`; the datatypes' identities are called bool … fp64."""
    for name, (kind, _) in DATATYPES.items():
        write(folder / name.lower(), _identity(kind, ["n", 2]))
    for name, model in (
        ("adder", adder()),
        ("text", _identity(TensorProto.STRING, ["n", 2])),
        ("fixed", _identity(TensorProto.FLOAT, [2, 3])),
        ("picture", picture()),
        ("slow", slow(TRIPS)),
        ("table", table()),
        ("positive", positive()),
    ):
        write(folder / name, model)


def write(folder: Path, model: onnx.ModelProto) -> None:
    """Write one network to `<folder>/model.onnx`, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "model.onnx.part"
    part.write_bytes(model.SerializeToString())
    part.replace(folder / "model.onnx")


def adder(scale: float = 1.0) -> onnx.ModelProto:
    """`a` and `b`, FP32 [n, 3]: `sum` is (a + b) · scale, `difference` is a − b."""
    nodes = [
        helper.make_node("Add", ["a", "b"], ["plain"]),
        helper.make_node("Mul", ["plain", "scale"], ["sum"]),
        helper.make_node("Sub", ["a", "b"], ["difference"]),
    ]
    values = {name: _float(name, ["n", 3]) for name in ("a", "b", "sum", "difference")}
    inputs, outputs = [values["a"], values["b"]], [values["sum"], values["difference"]]
    return _model(nodes, inputs, outputs, {"scale": np.array(scale, np.float32)})


def picture() -> onnx.ModelProto:
    """`input` UINT8 [n, 32, 32, 3]: `label` INT64 [n] and `probabilities` FP32 [n, 10], from the mean colour."""
    nodes = [
        helper.make_node("Cast", ["input"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["colour"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["colour", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
    ]
    inputs = [helper.make_tensor_value_info("input", TensorProto.UINT8, ["n", 32, 32, 3])]
    outputs = [helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]), _float("probabilities", ["n", 10])]
    weights = np.random.default_rng(0).normal(0, 0.02, (3, 10)).astype(np.float32)
    return _model(nodes, inputs, outputs, {"weights": weights})


def table() -> onnx.ModelProto:
    """`index` INT64 [n]: `output` FP32 [n] is its half. ONNX Runtime fails on an index that is not in −10 … 9."""
    node = helper.make_node("Gather", ["halves", "index"], ["output"])
    inputs = [helper.make_tensor_value_info("index", TensorProto.INT64, ["n"])]
    return _model([node], inputs, [_float("output", ["n"])], {"halves": np.arange(10, dtype=np.float32) / 2})


def positive() -> onnx.ModelProto:
    """`input` FP32 [n]: `output` INT64 [1, m] are the places of those that are not 0; rows in are not rows out."""
    node = helper.make_node("NonZero", ["input"], ["output"])
    outputs = [helper.make_tensor_value_info("output", TensorProto.INT64, ["one", "m"])]
    return _model([node], [_float("input", ["n"])], outputs, {})


def slow(trips: int) -> onnx.ModelProto:
    """`input` FP32 [n, 256]: `output` is equal to it, after `trips` rounds of a dense layer of 256 units.

    The weights are large enough that the state does not fade: subnormal numbers take some processors 15 times as long.
    """
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["state", "weights"], ["product"]),
            helper.make_node("Tanh", ["product"], ["next"]),
            helper.make_node("Identity", ["go"], ["on"]),
        ],
        "round",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            _float("state", ["n", 256]),
        ],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), _float("next", ["n", 256])],
    )
    nodes = [
        helper.make_node("Loop", ["trips", "", "input"], ["final"], body=body),
        helper.make_node("Mul", ["final", "zero"], ["nothing"]),
        helper.make_node("Add", ["input", "nothing"], ["output"]),
    ]
    constants: dict[str, NDArray[np.generic]] = {
        "trips": np.array(trips, np.int64),
        "zero": np.array(0, np.float32),
        "weights": np.random.default_rng(0).normal(0, 0.1, (256, 256)).astype(np.float32),
    }
    return _model(nodes, [_float("input", ["n", 256])], [_float("output", ["n", 256])], constants)


def _identity(kind: int, shape: Shape) -> onnx.ModelProto:
    values = [helper.make_tensor_value_info(each, kind, shape) for each in ("input", "output")]
    return _model([helper.make_node("Identity", ["input"], ["output"])], values[:1], values[1:], {})


def _float(name: str, shape: Shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: dict[str, NDArray[np.generic]],
) -> onnx.ModelProto:
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "test", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
