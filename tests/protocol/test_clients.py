"""tritonclient, unmodified, over REST (binary and JSON) and gRPC: the same tests for our server and for MLServer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from .fronts import Front, floats
from .networks import DATATYPES
from .servers import Running, version

A, B = floats([1, 2, 3], [4, 5, 6]), floats([0.5, 0, -1], [1e-30, 1e30, 7])
NOT_FOUND = {"404", "StatusCode.NOT_FOUND"}
INVALID = {"400", "StatusCode.INVALID_ARGUMENT"}
FLOWERS = floats([5.1, 3.5, 1.4, 0.2], [6.7, 3.1, 5.6, 2.4])


def test_a_server_is_live_and_ready(front: Front) -> None:
    assert front.client.is_server_live()
    assert front.client.is_server_ready()


def test_a_served_model_is_ready(front: Front, server: Running) -> None:
    assert front.client.is_model_ready("adder")
    assert front.client.is_model_ready("adder", version(server.models, "adder"))


def test_a_server_says_what_it_is(front: Front) -> None:
    metadata = front.client.get_server_metadata(**front.json)
    assert metadata["name"]
    assert metadata["version"]
    assert isinstance(metadata.get("extensions", []), list)


def test_a_model_says_what_it_takes_and_gives(front: Front, server: Running) -> None:
    metadata = front.metadata("picture")
    assert metadata["name"] == "picture"
    assert metadata["inputs"] == [{"name": "input", "datatype": "UINT8", "shape": [-1, 32, 32, 3]}]
    assert metadata["outputs"] == [
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]},
        {"name": "label", "datatype": "INT64", "shape": [-1]},
    ] or metadata["outputs"] == [
        {"name": "label", "datatype": "INT64", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]},
    ]


def test_a_model_says_its_versions_and_platform(front: Front, server: Running) -> None:
    metadata = front.metadata("adder", model_version=version(server.models, "adder"))
    assert metadata["versions"] == [version(server.models, "adder")]
    assert metadata["platform"]


def test_numpy_goes_in_and_numpy_comes_out(front: Front, server: Running) -> None:
    answered = front.infer("adder", {"a": A, "b": B})
    assert (answered.model, answered.version) == ("adder", version(server.models, "adder"))
    np.testing.assert_array_equal(answered.arrays["sum"], A + B)
    np.testing.assert_array_equal(answered.arrays["difference"], A - B)
    assert {array.dtype for array in answered.arrays.values()} == {np.dtype(np.float32)}


def test_inputs_are_told_apart_by_name_and_not_by_place(front: Front) -> None:
    answered = front.infer("adder", {"b": B, "a": A})
    np.testing.assert_array_equal(answered.arrays["difference"], A - B)


def extremes(kind: type[Any]) -> NDArray[Any]:
    dtype = np.dtype(kind)
    if dtype == np.bool_:
        return np.array([[True, False]])
    limits: Any = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    return np.array([[limits.min, limits.max], [0, 1]], dtype)


def assert_returned(front: Front, datatype: str) -> None:
    rows = extremes(DATATYPES[datatype][1])
    answered = front.infer(datatype.lower(), {"input": rows}, ["output"])
    assert answered.arrays["output"].dtype == rows.dtype
    np.testing.assert_array_equal(answered.arrays["output"], rows)


@pytest.mark.parametrize("datatype", [name for name in DATATYPES if name != "FP16"])
def test_every_datatype_arrives_and_returns_to_the_last_bit(front: Front, datatype: str) -> None:
    assert_returned(front, datatype)


@pytest.mark.parametrize("front", ["rest-binary", "grpc"], indirect=True)
def test_half_precision_arrives_and_returns_where_it_is_binary(front: Front) -> None:
    """JSON has no form for it: MLServer takes numbers, Triton and our server refuse them."""
    assert_returned(front, "FP16")


def test_text_arrives_and_returns(front: Front) -> None:
    words = np.array([["", "naïve 猫"], ["a" * 10_000, "line\nbreak \x01"]], dtype=object)
    answered = front.infer("text", {"input": words}, ["output"])
    returned = [word.decode() if isinstance(word, bytes) else word for word in answered.arrays["output"].flatten()]
    assert returned == words.flatten().tolist()


def test_a_picture_is_classified(front: Front) -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3), np.uint8)
    answered = front.infer("picture", {"input": pictures}).arrays
    assert (answered["label"].dtype, answered["label"].shape) == (np.dtype(np.int64), (5,))
    assert answered["probabilities"].shape == (5, 10)
    np.testing.assert_array_equal(answered["label"], answered["probabilities"].argmax(axis=1))


def test_several_models_are_served_side_by_side(front: Front) -> None:
    assert front.infer("iris_svc", {"input": FLOWERS}).arrays["label"].tolist() == [0, 2]
    matrix = floats([1, 2, 3], [4, 5, 6])
    np.testing.assert_array_equal(front.infer("fixed", {"input": matrix}).arrays["output"], matrix)
    assert front.infer("iris_svc", {"input": FLOWERS[::-1].copy()}).arrays["label"].tolist() == [2, 0]


@pytest.mark.parametrize("outputs", [["sum"], ["difference"], ["difference", "sum"]])
def test_the_outputs_asked_for_come_in_the_order_asked(front: Front, outputs: list[str]) -> None:
    answered = front.infer("adder", {"a": A, "b": B}, outputs)
    assert list(answered.arrays) == outputs
    np.testing.assert_array_equal(answered.arrays[outputs[0]], A + B if outputs[0] == "sum" else A - B)


@pytest.mark.parametrize("id_", ["42", "a" * 128, "ümläut/猫"], ids=["short", "long", "not ASCII"])
def test_the_request_id_comes_back(front: Front, id_: str) -> None:
    assert front.infer("adder", {"a": A, "b": B}, request_id=id_).id == id_


def test_a_version_can_be_asked_for_by_name(front: Front, server: Running) -> None:
    asked = version(server.models, "adder")
    answered = front.infer("adder", {"a": A, "b": B}, model_version=asked)
    assert answered.version == asked


def test_requests_sent_together_are_each_answered_with_their_own(front: Front) -> None:
    batches = [
        {"a": np.full((1 + n % 3, 3), n, np.float32), "b": np.ones((1 + n % 3, 3), np.float32)} for n in range(40)
    ]
    for feeds, answered in zip(batches, front.together("adder", batches), strict=True):
        np.testing.assert_array_equal(answered.arrays["sum"], feeds["a"] + 1)


def refused(
    front: Front, model: str, feeds: dict[str, NDArray[Any]], outputs: Sequence[str] = ("sum",), **more: object
) -> InferenceServerException:
    with pytest.raises(InferenceServerException) as raised:
        front.infer(model, feeds, outputs, **more)
    assert raised.value.message()
    return raised.value


def test_an_unknown_model_is_an_error_that_names_it(front: Front) -> None:
    error = refused(front, "nobody", {"a": A, "b": B})
    assert error.status() in NOT_FOUND
    assert "nobody" in error.message()


def test_an_unknown_version_is_an_error_that_names_it(front: Front) -> None:
    error = refused(front, "adder", {"a": A, "b": B}, model_version="0123456789ab")
    assert error.status() in NOT_FOUND
    assert "0123456789ab" in error.message()


def test_metadata_of_an_unknown_model_or_version_is_an_error(front: Front) -> None:
    for name, asked in (("nobody", ""), ("adder", "7")):
        with pytest.raises(InferenceServerException, match=asked or name) as raised:
            front.metadata(name, model_version=asked)
        assert raised.value.status() in NOT_FOUND


def test_an_unknown_model_is_not_ready(front: Front) -> None:
    assert not front.client.is_model_ready("nobody")


@pytest.mark.parametrize(
    ("feeds", "named"),
    [
        ({"a": A}, "b"),
        ({"a": A, "c": B}, "c"),
        ({"a": A, "b": B[:, :2]}, "b"),
        ({"a": A, "b": B[0]}, "b"),
        ({"a": A, "b": B[None]}, "b"),
        ({"a": A, "b": B.astype(np.float64)}, "b"),
    ],
    ids=["missing", "misnamed", "shape", "too few dimensions", "too many", "datatype"],
)
def test_a_wrong_input_is_an_error_that_names_it(front: Front, feeds: dict[str, NDArray[Any]], named: str) -> None:
    error = refused(front, "adder", feeds)
    assert error.status() in INVALID
    assert named in error.message()


def test_an_unknown_output_is_an_error_that_names_it(front: Front) -> None:
    error = refused(front, "adder", {"a": A, "b": B}, outputs=["product"])
    assert error.status() in INVALID
    assert "product" in error.message()
