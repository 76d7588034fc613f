import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsys import metadata
from mlsys.errors import ModelError
from mlsys.metadata import FeatureProfile, Metadata, Tensor

DOCUMENT = Metadata(
    name="probe",
    labels=["a", "b"],
    features=["x"],
    inputs=[Tensor(name="input", datatype="FP32", shape=[-1, 1])],
    outputs=[
        Tensor(name="label", datatype="INT64", shape=[-1]),
        Tensor(name="probabilities", datatype="FP32", shape=[-1, 2]),
    ],
    sample=[[1.0]],
    metrics={"accuracy": 0.5},
    parameters={"seed": 0, "kernel": None},
    data_sha256="0" * 64,
    libraries={"numpy": "2"},
    trainer="chapter2_training.probe.train",
    profile=[FeatureProfile(name="x", mean=1.0, std=0.5, quantiles=[0.0] * 21)],
)


def length_delimited(number: int, value: bytes) -> bytes:
    """One field of a protobuf message, as protobuf.dev/programming-guides/encoding says."""
    size, head = len(value), bytes([number << 3 | 2])
    while size > 127:
        head, size = head + bytes([size & 127 | 128]), size >> 7
    return head + bytes([size]) + value


def model_with(*properties: tuple[str, str]) -> bytes:
    """The wire form of a ModelProto with scalars of every wire type and these metadata properties."""
    scalars = b"\x08\x0a" + b"\x11" + bytes(8) + b"\x1d" + bytes(4)
    entries = [length_delimited(1, key.encode()) + length_delimited(2, value.encode()) for key, value in properties]
    return scalars + length_delimited(7, b"graph") + b"".join(length_delimited(14, entry) for entry in entries)


def test_a_document_survives_writing_and_reading() -> None:
    assert metadata.decode(metadata.encode(DOCUMENT)) == DOCUMENT


def test_the_same_content_gives_the_same_bytes() -> None:
    turned = msgspec.structs.replace(DOCUMENT, parameters={"kernel": None, "seed": 0})
    assert metadata.encode(turned) == metadata.encode(DOCUMENT)


@pytest.mark.parametrize("text", ["", "{}", "[]", "not json", metadata.encode(DOCUMENT)[:-1]])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="`mlsys` property is not a valid metadata document"):
        metadata.decode(text)


def test_a_document_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(ModelError, match="unknown field `colour`"):
        metadata.decode(metadata.encode(DOCUMENT)[:-1] + ',"colour":"red"}')


def test_a_document_of_another_schema_version_is_refused_with_both_versions() -> None:
    later = msgspec.structs.replace(DOCUMENT, schema_version=2)
    with pytest.raises(ModelError, match="schema version 2; this code reads version 1"):
        metadata.decode(metadata.encode(later))


def test_properties_are_found_in_file_order_with_duplicates() -> None:
    pairs = [("mlsys", "first"), ("other", "x" * 300), ("mlsys", "second"), ("", "")]
    assert metadata.properties(model_with(*pairs)) == pairs


def test_a_file_without_properties_has_none() -> None:
    assert metadata.properties(b"") == []
    assert metadata.properties(model_with()) == []


@pytest.mark.parametrize(
    "damaged", [b"\x08", b"\x0a\x05abc", b"\x11\x00", b"\x0b", b"\x0a\xff", model_with(("a", "b"))[:-1]]
)
def test_bytes_that_are_no_whole_messages_are_refused(damaged: bytes) -> None:
    with pytest.raises(ModelError, match="not a whole ONNX file"):
        metadata.properties(damaged)


@given(st.binary(max_size=200))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_arbitrary_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        assert isinstance(metadata.properties(content), list)
    except ModelError as error:
        assert "not a whole ONNX file" in str(error)  # both outcomes are right


def test_a_number_longer_than_any_is_refused_at_once() -> None:
    with pytest.raises(ModelError, match="not a whole ONNX file"):
        metadata.properties(b"\xff" * 3_000_000)  # minutes, if each byte were added to the number
