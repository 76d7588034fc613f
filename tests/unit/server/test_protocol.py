"""Bodies to requests and answers to bodies, as the REST form of the protocol has them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlsys.errors import InvalidRequest
from mlsys.network import Network
from mlsys.server import protocol
from mlsys.server.protocol import Inference

LENGTH = protocol.HEADER_LENGTH


@pytest.fixture(scope="module")
def adder(small: Path) -> Network:
    return Network.load(small / "adder" / "model.onnx")


def tensor(name: str, **more: object) -> dict[str, Any]:
    return {"name": name, "datatype": "FP32", "shape": [1, 3]} | more


def binary(name: str, size: int = 12) -> dict[str, Any]:
    return tensor(name, parameters={"binary_data_size": size})


def body(*inputs: dict[str, Any], **more: object) -> bytes:
    return json.dumps({"inputs": inputs, **more}).encode()


def decode(adder: Network, head: bytes, tail: bytes = b"") -> Inference:
    return protocol.decode(head + tail, [str(len(head)).encode()] if tail else [], adder)


def test_json_and_binary_inputs_are_taken_in_one_request_in_the_order_of_the_json(adder: Network) -> None:
    values = np.array([[1, 2, 3]], np.float32)
    for head in (body(tensor("a", data=[4, 5, 6]), binary("b")), body(binary("b"), tensor("a", data=[[4, 5, 6]]))):
        inference = decode(adder, head, values.tobytes())
        assert inference.feeds["a"].tolist() == [[4, 5, 6]]
        assert inference.feeds["b"].tolist() == [[1, 2, 3]]


def test_binary_inputs_follow_each_other_without_a_gap(adder: Network) -> None:
    a, b = np.array([[1, 2, 3]], np.float32), np.array([[4, 5, 6]], np.float32)
    inference = decode(adder, body(binary("b"), binary("a")), b.tobytes() + a.tobytes())
    assert (inference.feeds["a"].tolist(), inference.feeds["b"].tolist()) == ([[1, 2, 3]], [[4, 5, 6]])


@pytest.mark.parametrize(
    ("inputs", "tail", "reason"),
    [
        ([binary("a"), binary("b")], bytes(23), "needs 12 bytes after the JSON; 11 are left"),
        ([binary("a"), binary("b")], bytes(25), "the inputs account for 24"),
        ([binary("a"), binary("b", 8)], bytes(20), "has 8 bytes of data"),
        ([binary("a"), binary("b", -1)], bytes(12), "binary_data_size"),
        ([binary("a"), tensor("b")], bytes(12), "either `data` or"),
        ([binary("a"), binary("b") | {"data": [1, 2, 3]}], bytes(24), "either `data` or"),
        ([binary("a"), tensor("b", parameters={"shared_memory_region": "r"})], bytes(12), "shared memory"),
    ],
)
def test_binary_data_that_do_not_fit_are_refused(
    adder: Network, inputs: list[dict[str, Any]], tail: bytes, reason: str
) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        decode(adder, body(*inputs), tail)


@pytest.mark.parametrize("lengths", [[b"-1"], [b"999999"], [b"1e1"], [b""], [b"9" * 5000], [b"\xb2"], [b"2", b"2"]])
def test_a_header_length_that_is_none_is_refused_with_what_it_is(adder: Network, lengths: list[bytes]) -> None:
    with pytest.raises(InvalidRequest, match="Inference-Header-Content-Length is "):
        protocol.decode(body(tensor("a", data=[1, 2, 3])), lengths, adder)


@pytest.mark.parametrize(
    "wrong",
    [b"", b"{}", b"[]", b"null", b"NaN", b'{"inputs": 1}', b'{"inputs": [', b"\xff", b"[" * 100_000, b'{"a":' * 50_000],
)
def test_a_body_that_is_no_request_is_refused_with_the_place(adder: Network, wrong: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"The body is not what this route takes: .+\."):
        protocol.decode(wrong, [], adder)


def ask(adder: Network, **more: object) -> Inference:
    return decode(adder, body(tensor("a", data=[1, 2, 3]), tensor("b", data=[1, 2, 3]), **more))


def test_without_outputs_all_are_answered_and_otherwise_those_asked_for_in_that_order(adder: Network) -> None:
    assert ask(adder).outputs == ["sum", "difference"]
    assert ask(adder, outputs=[{"name": "difference"}, {"name": "sum"}]).outputs == ["difference", "sum"]


def test_the_form_of_an_output_is_its_own_or_the_requests(adder: Network) -> None:
    assert ask(adder).binary == [False, False]
    assert ask(adder, parameters={"binary_data_output": True}).binary == [True, True]
    outputs = [{"name": "sum", "parameters": {"binary_data": False}}, {"name": "difference"}]
    assert ask(adder, parameters={"binary_data_output": True}, outputs=outputs).binary == [False, True]


@pytest.mark.parametrize("parameter", [{"classification": 3}, {"shared_memory_region": "r"}])
def test_a_form_that_is_not_offered_is_refused_instead_of_another_given(
    adder: Network, parameter: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest, match="'sum' is asked for in a form"):
        ask(adder, outputs=[{"name": "sum", "parameters": parameter}])


def test_what_the_protocol_may_learn_is_passed_over(adder: Network) -> None:
    assert ask(adder, model_name="x", parameters={"priority": 3, "mine": "x"}).timeout_s is None


def test_the_timeout_is_in_microseconds(adder: Network) -> None:
    assert ask(adder, parameters={"timeout": 250_000}).timeout_s == 0.25
    assert ask(adder, parameters={"timeout": 0}).timeout_s is None
    assert ask(adder, parameters={"timeout": 2**63 - 1}).timeout_s == pytest.approx(9.2e12, rel=0.01)


def test_a_timeout_that_no_number_of_seconds_is_as_large_as_is_refused(adder: Network) -> None:
    with pytest.raises(InvalidRequest, match=r"parameters\.timeout"):
        ask(adder, parameters={"timeout": 10**400})
    for wrong in (-1, 1.5, "1", True):
        with pytest.raises(InvalidRequest, match="timeout"):
            ask(adder, parameters={"timeout": wrong})


def test_an_answer_carries_the_id_the_version_and_each_output_in_its_form(adder: Network) -> None:
    outputs = [{"name": "sum", "parameters": {"binary_data": True}}, {"name": "difference"}]
    inference = ask(adder, outputs=outputs, id="mine")
    content, headers = protocol.encode("adder", inference, adder.run(inference.feeds, inference.outputs), adder)
    named = dict(headers)
    size = int(named[LENGTH])
    assert json.loads(content[:size]) == {
        "model_name": "adder",
        "model_version": adder.version,
        "id": "mine",
        "outputs": [
            {"name": "sum", "datatype": "FP32", "shape": [1, 3], "parameters": {"binary_data_size": 12}},
            {"name": "difference", "datatype": "FP32", "shape": [1, 3], "data": [0, 0, 0]},
        ],
    }
    assert content[size:] == np.array([2, 4, 6], np.float32).tobytes()
    assert named[b"content-length"] == str(len(content)).encode()


def test_an_answer_without_binary_data_is_plain_json_without_what_was_not_given(adder: Network) -> None:
    inference = ask(adder)
    content, headers = protocol.encode("adder", inference, adder.run(inference.feeds, inference.outputs), adder)
    assert dict(headers)[b"content-type"] == b"application/json"
    assert LENGTH not in dict(headers)
    assert set(json.loads(content)) == {"model_name", "model_version", "outputs"}
