"""Files that are uploaded: small models, and what only looks like one."""

import io
import pickle
import zipfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def network(weight: float = 2.0, *, columns: int = 4, width: int = 4) -> bytes:
    """A file of `columns` x `width` weights, which multiplies rows [n, columns] by them."""
    weights = numpy_helper.from_array(np.full((columns, width), weight, np.float32), "weights")
    return of([helper.make_node("MatMul", ["input", "weights"], ["output"])], columns, width, [weights])


def of(nodes: list[object], columns: int, width: int, initializers: list[object] | None = None) -> bytes:
    """A file with these nodes between `input` [n, columns] and `output` [n, width]."""
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", columns])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", width])],
        initializers or [],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    content: bytes = model.SerializeToString()
    return content


def with_document(document: str) -> bytes:
    """A model whose metadata document is this text."""
    model = onnx.load_from_string(network())
    model.metadata_props.add(key="mlsys", value=document)
    content: bytes = model.SerializeToString()
    return content


def external(nested: bool) -> bytes:
    """A model whose weights are in /etc/passwd, if one believes it; nested: in a branch of a condition."""
    weights = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[4, 4])
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="/etc/passwd")
    product = helper.make_node("MatMul", ["input", "weights"], ["output"])
    if not nested:
        return of([product], 4, 4, [weights])
    shape = [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 4])]
    branch = helper.make_graph([product], "branch", [], shape, [weights])
    yes = numpy_helper.from_array(np.array(True), "yes")
    return of([helper.make_node("If", ["yes"], ["output"], then_branch=branch, else_branch=branch)], 4, 4, [yes])


def hungry() -> bytes:
    """A file of some hundred bytes that takes 64 GiB to be loaded, when its constants are computed."""
    size = numpy_helper.from_array(np.array([1 << 34], np.int64), "size")
    zero = numpy_helper.from_array(np.array([0], np.int64), "zero")
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["many"]),
        helper.make_node("Gather", ["many", "zero"], ["one"]),
        helper.make_node("Add", ["input", "one"], ["output"]),
    ]
    return of(nodes, 4, 4, [size, zero])


def endless() -> bytes:
    """A file that is loaded at once and never answers: it counts to 2^62."""
    count = helper.make_tensor_value_info("count", TensorProto.INT64, [])
    go_in = helper.make_tensor_value_info("go", TensorProto.BOOL, [])
    go_out = helper.make_tensor_value_info("on", TensorProto.BOOL, [])
    before = helper.make_tensor_value_info("before", TensorProto.FLOAT, ["n", 4])
    after = helper.make_tensor_value_info("after", TensorProto.FLOAT, ["n", 4])
    nodes = [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Neg", ["before"], ["after"])]
    body = helper.make_graph(nodes, "body", [count, go_in, before], [go_out, after])
    constants = [numpy_helper.from_array(np.array(1 << 62), "times"), numpy_helper.from_array(np.array(True), "yes")]
    return of([helper.make_node("Loop", ["times", "yes", "input"], ["output"], body=body)], 4, 4, constants)


def zip_bomb() -> bytes:
    """Ten million zeros, zipped."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.onnx", bytes(10_000_000))
    return packed.getvalue()


class Trap:
    """What runs a program when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("exit 1",)


def trap() -> bytes:
    """A pickle that would run a program."""
    return pickle.dumps(Trap())
