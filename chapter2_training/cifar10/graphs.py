"""From a trained network to an ONNX graph: batch norms folded away, normalisation and softmax inside.

Pictures come in as clients have them (uint8, height, width, RGB), so that no client can normalise otherwise.
"""

import copy
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from mlsys import export

from .networks import CLASSES, Block, Classifier


class Answer(nn.Module):
    """The network as it is served: pictures to `label` int64 [n] and `probabilities` float32 [n, 10]."""

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Uint8 [n, 32, 32, 3] to label and probabilities."""
        probabilities = torch.softmax(self.network(pictures), 1)
        return probabilities.argmax(1), probabilities


def graph(network: Classifier) -> export.Message:
    """The ONNX graph of a trained network, in 32 bits."""
    served = Answer(folded(network)).eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        # 2026-11-21: torch 2.13 deprecates this exporter; the newer one needs two more packages, and gives the same.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            served,
            (torch.zeros(2, 32, 32, 3, dtype=torch.uint8),),
            Path(folder, "graph.onnx"),
            input_names=["input"],
            output_names=["label", "probabilities"],
            dynamic_axes={name: {0: "n"} for name in ("input", "label", "probabilities")},
            opset_version=export.OPSET[""],
            dynamo=False,
        )
        made = onnx.load(Path(folder, "graph.onnx"))
    export.shape(made.graph.output[0], "n")
    export.shape(made.graph.output[1], "n", CLASSES)
    return made


def folded(network: Classifier) -> Classifier:
    """A copy in which each batch norm is part of the convolution before it."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, Block):
            _fold(module, "first", "first_norm")
            _fold(module, "second", "second_norm")
        elif isinstance(module, nn.Sequential):
            for index, layer in enumerate(module):
                if isinstance(layer, nn.BatchNorm2d):
                    _fold(module, str(index - 1), str(index))
    return network


def _fold(parent: nn.Module, convolution: str, norm: str) -> None:
    """Between the first of a block and its norm lies a maximum, which a factor may pass if it is positive."""
    conv, batch_norm = parent.get_submodule(convolution), parent.get_submodule(norm)
    if not isinstance(conv, nn.Conv2d) or not isinstance(batch_norm, nn.BatchNorm2d):
        return
    if isinstance(parent, Block) and not bool((batch_norm.weight > 0).all()):
        return
    mean, variance = batch_norm.running_mean, batch_norm.running_var
    if mean is None or variance is None:  # of a norm that keeps no averages; ours do
        return
    conv.weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, mean, variance, batch_norm.eps, batch_norm.weight, batch_norm.bias
    )
    conv.register_parameter("bias", bias)
    setattr(parent, norm, nn.Identity())


def halved(made: export.Message) -> export.Message:
    """The same graph with kernels and matrices as float16; the runtime casts them back once, when it loads the file."""
    half = copy.deepcopy(made)
    casts = []
    for tensor in half.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.ndim < 2 or values.size < 1000:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], name=f"{name}_cast", to=TensorProto.FLOAT))
    for node in reversed(casts):
        half.graph.node.insert(0, node)
    return half
