"""The networks that are served, what they are asked, and what they must answer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mlsys import iris, picture, pictures

Array = NDArray[Any]
WIDTH, LAYERS, SEED = 2048, 3, 20261121


@dataclass(frozen=True)
class Case:
    """One network: `folder` holds its model.onnx, `output` is what it is asked for, `rows` are different inputs."""

    name: str
    folder: Path
    datatype: str
    output: str
    rows: Array

    def expected(self) -> Array:
        """What ONNX Runtime answers to each row alone, asked without any server."""
        session = onnxruntime.InferenceSession(str(self.folder / "model.onnx"), providers=["CPUExecutionProvider"])
        return np.concatenate([session.run([self.output], {"input": row[None]})[0] for row in self.rows])


def cases(models: Path, scratch: Path) -> dict[str, Case]:
    """The two image models and the forest out of `models`, and the dense network, which is built in `scratch`."""
    cat = picture.to_pixels(pictures.content("cat"))
    shifted = np.stack([np.roll(cat, place, axis=1) for place in range(16)])
    flowers = np.repeat(np.array(iris.SAMPLE, np.float32), 16, axis=0) + np.arange(16, dtype=np.float32)[:, None] / 8
    noise = np.random.default_rng(SEED).standard_normal((16, WIDTH), np.float32)
    _write_dense(scratch / "dense")
    return {
        case.name: case
        for case in (
            Case("cifar10_small", models / "cifar10_small", "UINT8", "probabilities", shifted),
            Case("cifar10_large", models / "cifar10_large", "UINT8", "probabilities", shifted),
            Case("iris_rf", models / "iris_rf", "FP32", "probabilities", flowers),
            Case("dense", scratch / "dense", "FP32", "output", noise),
        )
    }


def _write_dense(folder: Path) -> None:
    """Three layers of 2048 × 2048 weights (50 MB in FP32), which one request reads all for 12.6 million products."""
    generator = np.random.default_rng(SEED)
    weights, nodes, name = [], [], "input"
    for layer in range(LAYERS):
        matrix = generator.standard_normal((WIDTH, WIDTH), np.float32) * np.float32((2 / WIDTH) ** 0.5)
        weights.append(numpy_helper.from_array(matrix, f"weight{layer}"))
        last = "output" if layer == LAYERS - 1 else f"active{layer}"
        nodes += [
            helper.make_node("MatMul", [name, f"weight{layer}"], [f"product{layer}"]),
            helper.make_node("Relu", [f"product{layer}"], [last]),
        ]
        name = last
    shape = ["n", WIDTH]
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
        weights,
    )
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx"
    )
