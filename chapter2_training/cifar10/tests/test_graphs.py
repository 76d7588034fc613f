"""What is exported answers as the network does, in 32, 16 and 8 bits, and says what it takes."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from chapter2_training.cifar10 import building, quantise
from chapter2_training.cifar10.graphs import folded, graph, halved
from chapter2_training.cifar10.networks import NETWORKS, Classifier
from chapter2_training.cifar10.pictures import Pictures
from mlsys import export
from mlsys.model import Model

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)


def used(model_type: str) -> Classifier:
    """A network whose batch norms have seen something, so that folding them changes all weights."""
    torch.manual_seed(0)
    network = NETWORKS[model_type]()
    network.look_at(torch.from_numpy(PIXELS))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    network.train()(torch.from_numpy(PIXELS))
    return network.eval()


def answers(made: export.Message, pixels: np.ndarray = PIXELS) -> np.ndarray:
    session = onnxruntime.InferenceSession(made.SerializeToString())
    label, probabilities = session.run(["label", "probabilities"], {"input": pixels})
    assert (label == probabilities.argmax(axis=1)).all()
    found: np.ndarray = probabilities
    return found


def expected(network: Classifier, pixels: np.ndarray = PIXELS) -> np.ndarray:
    with torch.no_grad():
        found: np.ndarray = torch.softmax(network(torch.from_numpy(pixels)), 1).numpy()
    return found


@pytest.mark.parametrize("model_type", NETWORKS)
def test_the_graph_answers_as_the_network_does_for_any_number_of_pictures(model_type: str) -> None:
    network = used(model_type)
    made = graph(network)
    assert np.abs(answers(made) - expected(network)).max() < 1e-4
    assert np.abs(answers(made, PIXELS[:1]) - expected(network)[:1]).max() < 1e-4
    assert "BatchNormalization" not in {node.op_type for node in made.graph.node}


def test_a_factor_that_no_maximum_lets_pass_stays_where_it_is() -> None:
    network = used("cifar10_small")
    with torch.no_grad():
        network.get_parameter("features.2.first_norm.weight")[3] = -1.0
    assert np.abs(answers(graph(network)) - expected(network)).max() < 1e-4
    assert sum(isinstance(module, torch.nn.BatchNorm2d) for module in folded(network).modules()) == 1


def test_half_the_bits_are_half_the_file_and_the_same_answers_to_a_thousandth() -> None:
    network = used("cifar10_large")
    whole = graph(network)
    half = halved(whole)
    assert half.ByteSize() < 0.51 * whole.ByteSize()
    assert np.abs(answers(half) - expected(network)).max() < 2e-3


def test_eight_bits_are_a_third_of_the_file_and_nearly_the_same_answers() -> None:
    network = used("cifar10_small")
    whole = graph(network)
    small = quantise.quantised(whole, PIXELS)
    assert small.ByteSize() < 0.35 * whole.ByteSize()
    assert np.abs(answers(small) - expected(network)).max() < 0.05


def test_eight_bits_are_calibrated_for_each_channel() -> None:
    made = quantise.quantised(graph(used("cifar10_small")), PIXELS)
    scales = [tensor.dims[:] for tensor in made.graph.initializer if tensor.name.endswith("weight_scale")]
    assert sorted(scales[-1]) == [128] or [32] in scales


@pytest.mark.parametrize(("accuracy", "refused"), [(0.90, False), (0.8951, False), (0.8849, True), (0.91, False)])
def test_more_than_a_point_may_not_be_lost(accuracy: float, refused: bool) -> None:
    found = quantise.refusal("some_int8", accuracy, 0.895)
    assert bool(found) == refused
    if found:
        assert found == (
            "some_int8 is refused: it is right about 88.49% of the test pictures, the exact network about 89.50%, "
            "and 1 point may be lost. No file was written for it."
        )


def test_files_declare_bytes_as_they_come_and_say_how_large_the_network_is(tmp_path: Path) -> None:
    pictures = Pictures(torch.from_numpy(PIXELS), torch.arange(8))
    document = building.document("cifar10_small", {"epochs": 1}, "0" * 64)
    building.build(used("cifar10_small"), pictures, document, tmp_path)
    for name in ("cifar10_small", "cifar10_small_int8"):
        model = Model.load(tmp_path / f"{name}.onnx")
        assert model.metadata.name == name
        assert [(t.name, t.datatype, t.shape) for t in model.metadata.inputs] == [("input", "UINT8", [-1, 32, 32, 3])]
        assert [(t.name, t.datatype, t.shape) for t in model.metadata.outputs] == [
            ("label", "INT64", [-1]),
            ("probabilities", "FP32", [-1, 10]),
        ]
        assert model.metadata.parameters["weights"] == 384_976
        assert model.metadata.parameters["epochs"] == 1


def test_a_build_gives_the_same_bytes_each_time(tmp_path: Path) -> None:
    pictures = Pictures(torch.from_numpy(PIXELS), torch.arange(8))
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        building.build(used("cifar10_small"), pictures, building.document("some", {}, "0" * 64), folder)
    for name in ("some.onnx", "some_int8.onnx"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_shipped_networks_are_as_small_as_they_are_meant_to_be() -> None:
    assert building.size(NETWORKS["cifar10_small"]())[0] <= 600_000
    assert building.size(NETWORKS["cifar10_large"]())[0] <= 5_000_000
