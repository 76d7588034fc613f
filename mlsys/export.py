"""From a fitted scikit-learn pipeline to the bytes of a model file, by the artefact's rules for names and order."""

import warnings
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import is_outlier_detector

from . import metadata as document
from .evaluation import Estimator
from .metadata import Metadata, Tensor

Message = Any
"""A protobuf message of the onnx package, which ships no types."""

OPSET = {"": 18, "ai.onnx.ml": 3}
_DATATYPES = {TensorProto.FLOAT: "FP32", TensorProto.INT64: "INT64", TensorProto.UINT8: "UINT8"}


def convert(model: Estimator, *, features: int) -> Message:
    """The pipeline as a graph: `input` [n, features] to `label` [n] and `probabilities` [n, k] (without them `scores`).

    An outlier detector's label is 0 for an inlier and 1 for an outlier, instead of scikit-learn's 1 and -1.
    """
    options: dict[int, dict[str, bool]] = {}
    if hasattr(model, "predict_proba"):
        options = {id(model): {"zipmap": False}}
    elif not is_outlier_detector(model):
        options = {id(model): {"zipmap": False, "raw_scores": True}}
    types = [("input", FloatTensorType([None, features]))]
    with warnings.catch_warnings():
        # 2026-11-20: skl2onnx 1.20 asks every SVC whether it was fitted with the old `probability=True`; ours are not.
        warnings.filterwarnings("ignore", "Attribute `prob[AB]_` was deprecated", FutureWarning)
        converted = to_onnx(model, initial_types=types, options=options, target_opset=OPSET)
    if not hasattr(model, "predict_proba"):
        _rename(converted.graph, converted.graph.output[1].name, "scores")
    if is_outlier_detector(model):
        _label_by_sign(converted.graph)
    shape(converted.graph.input[0], "n", features)
    shape(converted.graph.output[0], "n")
    shape(converted.graph.output[1], "n", converted.graph.output[1].type.tensor_type.shape.dim[1].dim_value)
    return converted


def tensors(graph: Message) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and outputs of a graph as its metadata declares them."""
    return [_tensor(value) for value in graph.graph.input], [_tensor(value) for value in graph.graph.output]


def serialize(graph: Message, metadata: Metadata) -> bytes:
    """The model file's content: the graph with its one metadata property, the same bytes for the same content.

    Raises: onnx.checker.ValidationError if the graph is not valid ONNX.
    """
    domains = sorted({(opset.domain, opset.version) for opset in graph.opset_import})  # hash order, repeats
    del graph.opset_import[:], graph.metadata_props[:]
    graph.opset_import.extend(helper.make_opsetid(domain, number) for domain, number in domains)
    graph.metadata_props.add(key=document.PROPERTY, value=document.encode(metadata))
    graph.doc_string = graph.graph.doc_string = ""
    graph.graph.name = metadata.name
    onnx.checker.check_model(graph, full_check=True)
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


def _tensor(value: Message) -> Tensor:
    kind = value.type.tensor_type
    shape = [-1 if size.dim_param else size.dim_value for size in kind.shape.dim]
    return Tensor(name=value.name, datatype=_DATATYPES[kind.elem_type], shape=shape)


def shape(value: Message, *sizes: int | str) -> None:
    """Declare the shape of an input or output; a size that is a name is free."""
    kind = value.type.tensor_type
    value.CopyFrom(helper.make_tensor_value_info(value.name, kind.elem_type, sizes))


def _rename(graph: Message, old: str, new: str) -> None:
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for value in graph.output:
        if value.name == old:
            value.name = new


def _label_by_sign(graph: Message) -> None:
    """Replace an outlier detector's label by 0 where its score is positive, else 1 (libsvm: 0 is outside)."""
    _rename(graph, "label", "sign")
    graph.output[0].name = "label"
    zero = numpy_helper.from_array(np.zeros(1, dtype=np.float32), "zero")
    rows = numpy_helper.from_array(np.array([-1], dtype=np.int64), "rows")
    graph.initializer.extend([zero, rows])
    graph.node.extend(
        [
            helper.make_node("LessOrEqual", ["scores", "zero"], ["outside"], name="outside"),
            helper.make_node("Cast", ["outside"], ["outside_int"], name="outside_int", to=TensorProto.INT64),
            helper.make_node("Reshape", ["outside_int", "rows"], ["label"], name="label"),
        ]
    )
