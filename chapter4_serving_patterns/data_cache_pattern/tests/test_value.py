"""What is kept in Redis: it comes back as it was, or not at all."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ..value import VERSION, Array, Entry, decode, encode

PICTURE = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)
GOOD = encode(Entry(1000.5, PICTURE))
DTYPES = [np.dtype(name) for name in ("u1", "<i8", "<f2", "<f4", "<f8")]


def same(found: Entry | None, entry: Entry) -> bool:
    assert found
    if entry.tensor is None or found.tensor is None:
        return found == entry
    alike = (found.tensor.dtype, found.tensor.shape) == (entry.tensor.dtype, entry.tensor.shape)
    return alike and found.stamp == entry.stamp and found.tensor.tobytes() == entry.tensor.tobytes()


@given(
    tensor=arrays.arrays(st.sampled_from(DTYPES), arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)),
    stamp=st.floats(allow_nan=False, allow_infinity=False),
)
def test_every_tensor_comes_back_with_its_dtype_shape_stamp_and_bytes(tensor: Array, stamp: float) -> None:
    assert same(decode(encode(Entry(stamp, tensor))), Entry(stamp, tensor))


def test_a_picture_takes_its_pixels_and_23_bytes() -> None:
    assert len(GOOD) == 32 * 32 * 3 + 23


@pytest.mark.parametrize("tensor", [PICTURE[:, ::-1], PICTURE.transpose(2, 0, 1), PICTURE.astype(">i8")])
def test_a_tensor_that_lies_otherwise_in_memory_comes_back_equal(tensor: Array) -> None:
    found = decode(encode(Entry(1.0, tensor)))
    assert found
    assert found.tensor is not None
    assert (found.tensor == tensor).all()


def test_a_reason_comes_back() -> None:
    assert decode(encode(Entry(7.0, None, "the source has no file 0003-größe.png"))) == Entry(
        7.0, None, "the source has no file 0003-größe.png"
    )


def test_what_comes_back_cannot_be_written() -> None:
    found = decode(GOOD)
    assert found
    assert found.tensor is not None
    with pytest.raises(ValueError, match="read-only"):
        found.tensor[0, 0, 0] = 1


@pytest.mark.parametrize("length", [0, 1, 10, 11, 12, 22, 23, 100, len(GOOD) - 1])
def test_what_is_truncated_is_none(length: int) -> None:
    assert decode(GOOD[:length]) is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        GOOD + b"x",
        bytes([VERSION - 1]) + GOOD[1:],
        bytes([VERSION + 1]) + GOOD[1:],
        GOOD[:1] + bytes([9]) + GOOD[2:],
        GOOD[:2] + bytes([255]) + GOOD[3:],
        GOOD[:3] + struct.pack("<d", float("nan")) + GOOD[11:],
        GOOD[:3] + struct.pack("<d", float("inf")) + GOOD[11:],
        GOOD[:11] + struct.pack("<III", 32, 32, 4) + GOOD[23:],
        GOOD[:11] + struct.pack("<III", 2**32 - 1, 2**32 - 1, 2**32 - 1) + GOOD[23:],
        struct.pack("<BBBd", VERSION, 0, 0, 1.0) + b"\xff\xfe",
        b'[[0.1, 0.2], [0.3, 0.4]]',
        b"\x80\x04\x95",
    ],
    ids=[
        "nothing", "empty", "longer", "older", "newer", "dtype 9", "255 dimensions", "NaN", "infinity", "another shape",
        "a shape of 10^29", "a reason that is no text", "JSON", "a pickle",
    ],
)  # fmt: skip
def test_what_is_no_value_of_this_version_is_none(value: bytes | None) -> None:
    assert decode(value) is None


@given(st.binary(max_size=200))
def test_garbage_is_none_or_an_entry_and_never_an_error(value: bytes) -> None:
    for garbage in (value, bytes([VERSION]) + value, GOOD[:11] + value):
        assert decode(garbage) is None or isinstance(decode(garbage), Entry)


def test_a_dtype_without_a_code_is_not_kept() -> None:
    with pytest.raises(KeyError):
        encode(Entry(1.0, np.array([1 + 2j])))
