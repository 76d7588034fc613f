"""Models of a given size, whose weights hardly compress (by 7 %): what a release moves, and nothing else."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

MEGABYTE = 1_000_000
_ROWS = 4


def generate(file: Path, megabytes: int, seed: int) -> str:
    """Write a model of so many megabytes, and return its sha256: the mean of x [n, 4] times random weights [4, k]."""
    columns = megabytes * MEGABYTE // (4 * _ROWS)
    weights = np.random.default_rng(seed).standard_normal((_ROWS, columns), dtype=np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["input", "weights"], ["hidden"]),
            helper.make_node("ReduceMean", ["hidden", "axes"], ["output"]),
        ],
        f"release_{megabytes}_{seed}",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, _ROWS])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [None, 1])],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.tobytes(), raw=True),
            helper.make_tensor("axes", TensorProto.INT64, [1], [1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, str(file))
    with file.open("rb") as written:
        return hashlib.file_digest(written, "sha256").hexdigest()
