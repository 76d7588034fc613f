"""From weights to finished files, in the bits that they are shipped in."""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from msgspec import structs
from torch.utils.flop_counter import FlopCounterMode

from mlsys import export
from mlsys.metadata import Metadata

from .graphs import graph, halved
from .networks import NETWORKS, Classifier
from .pictures import Pictures
from .preprocess import LABELS
from .quantise import quantised
from .steps import Inputs

HALVED_FROM = 1_000_000
"""Weights from which on a file has them in 16 bits: it is then half as large, and the answers are the same to 0.001."""
CALIBRATION = 1024
"""Training pictures on which the ranges of 8-bit activations are measured."""


def build(network: Classifier, train: Pictures, document: Metadata, folder: Path) -> None:
    """Write <name>.onnx and <name>_int8.onnx into the folder; `train` is what the network learnt from."""
    exact = graph(network)
    weights, multiply_adds = size(network)
    parameters = {**document.parameters, "weights": weights, "multiply_adds": multiply_adds}
    int8 = quantised(exact, train.pixels[:CALIBRATION].numpy())
    for name, made in {
        document.name: halved(exact) if weights >= HALVED_FROM else exact,
        f"{document.name}_int8": int8,
    }.items():
        inputs, outputs = export.tensors(made)
        described = structs.replace(document, name=name, inputs=inputs, outputs=outputs, parameters=parameters)
        (folder / f"{name}.onnx").write_bytes(export.serialize(made, described))


def restored(model_type: str, weights: Path) -> Classifier:
    """A network with the weights that `trained` wrote."""
    made = NETWORKS[model_type]()
    with np.load(weights) as arrays:
        made.load_state_dict({name: torch.from_numpy(arrays[name]) for name in arrays.files})
    return made.eval()


def document(name: str, parameters: Inputs, data_sha256: str) -> Metadata:
    """What a file says about itself, but for what is found out later."""
    return Metadata(
        name=name,
        labels=list(LABELS),
        features=[],
        inputs=[],
        outputs=[],
        sample=[],
        metrics={},
        parameters=parameters,
        data_sha256=data_sha256,
        libraries={library: version(library) for library in ("onnx", "onnxruntime", "torch")},
        trainer="chapter2_training.cifar10.train",
        profile=[],
    )


def size(network: Classifier) -> tuple[int, int]:
    """Weights, learnt or fixed, and multiplications with an addition for one picture."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(torch.zeros(1, 32, 32, 3, dtype=torch.uint8))
    return sum(values.numel() for values in network.parameters()), counter.get_total_flops() // 2
