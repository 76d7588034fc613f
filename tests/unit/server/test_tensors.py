"""Tensors to arrays and back: what is right comes through as it is, what is wrong is refused with its name."""

import struct
from typing import Any

import msgspec
import numpy as np
import pytest

from mlsys.errors import InvalidRequest
from mlsys.metadata import Tensor
from mlsys.network import NUMPY
from mlsys.server import tensors

INTEGERS = [name for name in NUMPY if "INT" in name]


def declared(datatype: str, shape: list[int] | None = None) -> Tensor:
    return Tensor(name="x", datatype=datatype, shape=[-1, 2] if shape is None else shape)


def from_json(datatype: str, shape: list[int], data: str, *, model: list[int] | None = None) -> Any:  # noqa: ANN401
    return tensors.from_json(declared(datatype, model), datatype, shape, msgspec.Raw(data.encode())).tolist()


def refused(datatype: str, shape: list[int], data: str, **how: list[int]) -> str:
    with pytest.raises(InvalidRequest) as caught:
        from_json(datatype, shape, data, **how)
    assert "'x'" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("datatype", INTEGERS)
def test_an_integer_is_taken_up_to_its_bounds_and_refused_beyond_them(datatype: str) -> None:
    bounds = np.iinfo(NUMPY[datatype])
    assert from_json(datatype, [1, 2], f"[{bounds.min}, {bounds.max}]") == [[bounds.min, bounds.max]]
    for beyond in (bounds.min - 1, bounds.max + 1):
        refused(datatype, [1, 2], f"[0, {beyond}]")
        with pytest.raises(InvalidRequest):
            tensors.from_values(declared(datatype), datatype, [1, 2], [0, int(beyond)])


@pytest.mark.parametrize("wrong", ["1.5", "1.0", "true", "null", '"1"', "[1]", "1e400", "9" * 5000])
def test_what_is_no_integer_is_refused(wrong: str) -> None:
    assert "are not INT32" in refused("INT32", [1, 2], f"[0, {wrong}]")


@pytest.mark.parametrize("wrong", ["1e39", "-1e39", "true", "null", '"1"', "{}", "1e400"])
def test_what_is_no_float32_is_refused_with_its_place(wrong: str) -> None:
    assert "$[1]" in refused("FP32", [1, 2], f"[0, {wrong}]") or "range" in refused("FP32", [1, 2], f"[0, {wrong}]")


def test_data_may_be_flat_or_nested_as_deep_as_the_shape() -> None:
    flat, nested = "[1, 2, 3, 4]", " [ [1, 2], [3, 4] ] "
    assert from_json("FP32", [2, 2], flat) == from_json("FP32", [2, 2], nested) == [[1, 2], [3, 4]]
    assert from_json("BYTES", [2, 1], '[["a"], ["é"]]', model=[-1, 1]) == [["a"], ["é"]]
    assert from_json("BOOL", [1, 2], "[true, false]") == [[True, False]]


@pytest.mark.parametrize(
    "data", ["[[1, 2, 3, 4]]", "[[1, 2]]", "[[1], [2, 3, 4]]", "[1, 2, 3]", "[]", "[[[1, 2], [3, 4]]]", "1", "[1, [2]]"]
)
def test_data_of_another_nesting_or_number_than_the_shape_are_refused(data: str) -> None:
    refused("FP32", [2, 2], data)


def test_ragged_texts_are_refused_and_do_not_become_lists() -> None:
    refused("BYTES", [2, 2], '[["a", "b"], ["c"]]')
    refused("BYTES", [2, 1], '[["a"], ["b", "c"]]', model=[-1, 1])


def test_fp16_is_refused_as_json_with_what_to_do_instead() -> None:
    assert "binary" in refused("FP16", [1, 2], "[1, 2]")


@pytest.mark.parametrize("shape", [[2], [1, 2, 1], [1, 3], [0, 2], [-1, 2], [2**31, 2], [2**63, 2], []])
def test_a_shape_that_the_model_does_not_take_is_refused_with_both(shape: list[int]) -> None:
    assert "the model takes [-1, 2]" in refused("FP32", shape, "[1, 2]")


def test_another_datatype_than_the_models_is_refused_with_both() -> None:
    with pytest.raises(InvalidRequest, match=r"Input 'x' is 'INT8'; the model takes FP32\."):
        tensors.check(declared("FP32"), "INT8", [1, 2])


@pytest.mark.parametrize("datatype", [name for name in NUMPY if name != "BYTES"])
def test_raw_bytes_come_back_as_they_were_also_where_they_are_not_aligned(datatype: str) -> None:
    array = np.array([[0, 1], [1, 0]], NUMPY[datatype])
    raw = bytes(tensors.to_raw(array))
    assert raw == array.tobytes()
    for offset in (0, 1):
        content = memoryview(b"#" * offset + raw)[offset:]
        found = tensors.from_raw(declared(datatype), datatype, [2, 2], content)
        assert found.flags.aligned
        np.testing.assert_array_equal(found, array)
    for wrong in (raw[:-1], raw + b"\0", b""):
        with pytest.raises(InvalidRequest, match=f"{len(wrong)} bytes"):
            tensors.from_raw(declared(datatype), datatype, [2, 2], memoryview(wrong))


def test_a_raw_bool_is_0_or_1() -> None:
    with pytest.raises(InvalidRequest, match="neither 0 nor 1"):
        tensors.from_raw(declared("BOOL"), "BOOL", [1, 2], memoryview(b"\x01\x02"))


def test_raw_texts_are_a_length_and_utf_8_each() -> None:
    texts = np.array([["", "é"], ["a\0b", "x" * 300]], object)
    raw = bytes(tensors.to_raw(texts))
    assert raw[:10] == struct.pack("<I", 0) + struct.pack("<I", 2) + "é".encode()
    found = tensors.from_raw(declared("BYTES"), "BYTES", [2, 2], memoryview(raw))
    assert found.tolist() == texts.tolist()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "end within an element"),
        (b"\1\0\0\0a", "end within an element"),
        (b"\1\0\0\0a\xff\xff\xff\xff", "end within an element"),
        (b"\1\0\0\0a\1\0\0\0bc", "its 2 elements end at 10"),
        (b"\1\0\0\0a\1\0\0\0\xff", "not UTF-8"),
    ],
)
def test_raw_texts_that_are_cut_off_too_long_or_not_utf_8_are_refused(content: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        tensors.from_raw(declared("BYTES"), "BYTES", [1, 2], memoryview(content))


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_an_output_that_json_cannot_carry_is_refused_with_what_to_do(number: float) -> None:
    with pytest.raises(InvalidRequest, match=r"'y' is not finite.*ask for binary"):
        tensors.to_values("y", np.array([1, number], np.float32))


def test_outputs_that_are_not_contiguous_are_sent_in_row_major_order() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    assert bytes(tensors.to_raw(array)) == np.array([0, 3, 1, 4, 2, 5], np.float32).tobytes()
    assert tensors.to_values("y", array) == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize(
    ("found", "reason"),
    [(["a", "c"], "has no input 'c'; it has a, b"), (["a", "a", "b"], "named twice"), (["b"], "input a is missing")],
)
def test_tensors_that_are_unknown_repeated_or_missing_are_named(found: list[str], reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        tensors.check_names("input", found, ["a", "b"], all_of_them=True)
