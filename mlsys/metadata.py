"""The JSON document that a model file carries about itself, and how it is found in the file."""

import msgspec

from .errors import ModelError

PROPERTY = "mlsys"
"""Key of the ONNX metadata property that holds the document."""


class Tensor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input or output. In `shape` -1 is a free dimension; `datatype` is the Open Inference Protocol's (FP32)."""

    name: str
    datatype: str
    shape: list[int]


class FeatureProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one feature was distributed in the training part, in its own unit: what monitoring compares against.

    `quantiles` are the values at 0 %, 5 %, 10 %, … 100 % (21 numbers).
    """

    name: str
    mean: float
    std: float
    quantiles: list[float]


class Metadata(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model file says about itself. The file's sha256, its identity, is taken over this document too."""

    schema_version: int = 1
    name: str
    labels: list[str]
    """Class names; the `label` output is an index into them."""
    features: list[str]
    """Names of the input columns, in order; empty where an input is no row of features (a picture)."""
    inputs: list[Tensor]
    outputs: list[Tensor]
    sample: list[list[float]]
    """A valid batch of one, for warming up and for examples; empty where `features` is."""
    metrics: dict[str, float]
    parameters: dict[str, str | int | float | bool | None]
    data_sha256: str
    libraries: dict[str, str]
    trainer: str
    """Module that made the file: `python -m <trainer>`, given the same parameters, makes it again."""
    profile: list[FeatureProfile]


def encode(metadata: Metadata) -> str:
    """The document as the property's value: the same bytes for the same content."""
    return msgspec.json.encode(metadata, order="deterministic").decode()


def decode(document: str) -> Metadata:
    """Parse and check the property's value.

    Raises: ModelError if it is not the document that `encode` writes, or of another schema version.
    """
    try:
        metadata = msgspec.json.decode(document, type=Metadata)
    except msgspec.DecodeError as error:
        raise ModelError(f"its `{PROPERTY}` property is not a valid metadata document: {error}") from error
    if metadata.schema_version != 1:
        raise ModelError(f"its metadata has schema version {metadata.schema_version}; this code reads version 1")
    return metadata


def properties(model: bytes) -> list[tuple[str, str]]:
    """All metadata properties of a serialised ONNX model, in file order, duplicates kept.

    ONNX Runtime and the onnx package each keep only one of several properties with the same key, not the same one,
    so duplicates must be looked for in the file itself. This walks the protobuf wire format of `ModelProto`
    (field 14: `StringStringEntryProto metadata_props`, of which 1 is the key and 2 the value).
    Source: protobuf.dev/programming-guides/encoding, onnx/onnx.proto.

    Raises: ModelError if the bytes are not whole protobuf messages.
    """
    return [
        (found.get(1, b"").decode(errors="replace"), found.get(2, b"").decode(errors="replace"))
        for number, entry in fields(memoryview(model))
        if number == 14
        for found in [{n: bytes(v) for n, v in fields(entry)}]
    ]


def fields(message: memoryview) -> list[tuple[int, memoryview]]:
    """(field number, value) of each length-delimited field of a protobuf message; scalars are stepped over."""
    found, at = [], 0
    try:
        while at < len(message):
            key, at = _varint(message, at)
            number, wire_type = key >> 3, key & 7
            if wire_type == 0:
                _, at = _varint(message, at)
                continue
            size, at = {1: (8, at), 5: (4, at)}.get(wire_type) or _varint(message, at)
            if wire_type not in (1, 2, 5) or at + size > len(message):
                raise IndexError
            if wire_type == 2:
                found.append((number, message[at : at + size]))
            at += size
    except IndexError:
        raise ModelError("it is not a whole ONNX file (truncated, or of another format)") from None
    return found


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:  # no number of the format is longer; without this, a file of 0xff costs the square of its length
            raise IndexError
