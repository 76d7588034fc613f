"""Callers of the REST side who send what no client library would: refused, and nothing is lost."""

import gzip
import json
import struct
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mlsys.testing import Answer

from . import bad
from .fronts import floats
from .servers import Running, unhurt, version

pytestmark = pytest.mark.parametrize("server", ["ours"], indirect=True)

JSON = {"Content-Type": "application/json"}
ROW = floats([1, 2, 3], [4, 5, 6])
BINARY = json.dumps(
    {"inputs": [{"name": "input", "datatype": "FP32", "shape": [2, 3], "parameters": {"binary_data_size": 24}}]}
).encode()
LENGTH = "Inference-Header-Content-Length"


@pytest.fixture(autouse=True)
def nothing_is_lost(server: Running) -> Iterator[None]:
    """After each attack the server still answers, rightly, and has logged no error of its own."""
    yield
    unhurt(server)


def assert_refused(answer: Answer, *statuses: int) -> str:
    """The error's text."""
    assert answer.status in (statuses or (400,)), answer
    assert set(answer.json) == {"error"}
    text = answer.json["error"]
    assert isinstance(text, str)
    assert 10 < len(text) < 2000
    return text


@pytest.mark.parametrize("body", bad.JSON.values(), ids=bad.JSON)
def test_a_wrong_request_is_refused(server: Running, body: bytes) -> None:
    assert_refused(server.ask("POST", "/v2/models/fixed/infer", body, JSON))


@pytest.mark.parametrize(("model", "data"), bad.NUMBERS)
def test_a_value_that_the_datatype_does_not_hold_is_refused(server: Running, model: str, data: str) -> None:
    datatype = "BYTES" if model == "text" else model.upper()
    body = f'{{"inputs":[{{"name":"input","datatype":"{datatype}","shape":[1,2],"data":{data}}}]}}'
    assert_refused(server.ask("POST", f"/v2/models/{model}/infer", body.encode(), JSON))


def test_half_precision_is_only_taken_in_binary(server: Running) -> None:
    tensor = {"name": "input", "datatype": "FP16", "shape": [1, 2], "data": [1, 2]}
    assert "binary" in assert_refused(server.infer("fp16", {"inputs": [tensor]}))


@pytest.mark.parametrize("values", bad.LENGTHS.values(), ids=bad.LENGTHS)
def test_a_wrong_length_of_the_json_part_is_refused(server: Running, values: list[str]) -> None:
    lengths = [(LENGTH, value.format(right=len(BINARY))) for value in values]
    assert_refused(server.send("/v2/models/fixed/infer", lengths, BINARY + ROW.tobytes()))


def binary(server: Running, model: str, tensor: Mapping[str, object], content: bytes) -> Answer:
    head = json.dumps({"inputs": [{"name": "input", **tensor}]}).encode()
    return server.ask("POST", f"/v2/models/{model}/infer", head + content, {LENGTH: str(len(head))})


@pytest.mark.parametrize("size", [23, 25, 0, -24, 2**64, "24", 24.5, True, None, [24]])
def test_a_wrong_binary_size_is_refused(server: Running, size: object) -> None:
    tensor = {"datatype": "FP32", "shape": [2, 3], "parameters": {"binary_data_size": size}}
    assert_refused(binary(server, "fixed", tensor, ROW.tobytes()))


@pytest.mark.parametrize("content", [ROW.tobytes()[:-1], ROW.tobytes() + b"\0", b""], ids=["short", "long", "none"])
def test_a_wrong_number_of_bytes_is_refused(server: Running, content: bytes) -> None:
    tensor = {"datatype": "FP32", "shape": [2, 3], "parameters": {"binary_data_size": 24}}
    assert_refused(binary(server, "fixed", tensor, content))
    tensor = {"datatype": "FP32", "shape": [2, 3], "parameters": {"binary_data_size": len(content)}}
    assert_refused(binary(server, "fixed", tensor, content))


def test_a_boolean_that_is_neither_is_refused_or_true(server: Running) -> None:
    tensor = {"datatype": "BOOL", "shape": [1, 2], "parameters": {"binary_data_size": 2}}
    answer = binary(server, "bool", tensor, b"\x02\x00")
    assert answer.status == 400 or answer.json["outputs"][0]["data"] == [True, False]


WORDS = {
    "a length beyond the end": struct.pack("<I", 9) + b"ab" + struct.pack("<I", 0),
    "a length of minus one": struct.pack("<i", -1) + b"ab" + struct.pack("<I", 0),
    "half a length": struct.pack("<I", 2) + b"ab" + b"\0\0",
    "a word too few": struct.pack("<I", 2) + b"ab",
    "a word too many": struct.pack("<I", 0) * 3,
    "nothing": b"",
}


@pytest.mark.parametrize("content", WORDS.values(), ids=WORDS)
def test_text_whose_lengths_do_not_fit_is_refused(server: Running, content: bytes) -> None:
    tensor = {"datatype": "BYTES", "shape": [1, 2], "parameters": {"binary_data_size": len(content)}}
    assert_refused(binary(server, "text", tensor, content))


def test_text_that_is_not_utf8_is_refused(server: Running) -> None:
    content = struct.pack("<I", 2) + b"\xff\xfe" + struct.pack("<I", 0)
    tensor = {"datatype": "BYTES", "shape": [1, 2], "parameters": {"binary_data_size": len(content)}}
    assert_refused(binary(server, "text", tensor, content))


def test_what_json_cannot_say_is_refused_or_asked_for_in_binary(server: Running) -> None:
    """A NaN that comes in as bytes must not go out as a JSON that no parser takes."""
    tensor = {"datatype": "FP32", "shape": [2, 3], "parameters": {"binary_data_size": 24}}
    answer = binary(server, "fixed", tensor, np.full((2, 3), np.nan, np.float32).tobytes())
    assert "binary" in assert_refused(answer)


@pytest.mark.parametrize("shape", [[0, 3], [1, 3]], ids=["empty batches", "uneven batches"])
def test_batches_that_are_empty_or_uneven_are_refused(server: Running, shape: list[int]) -> None:
    first = {"name": "a", "datatype": "FP32", "shape": shape, "data": [1] * (3 * shape[0])}
    second = (
        first | {"name": "b"} if not shape[0] else {"name": "b", "datatype": "FP32", "shape": [2, 3], "data": [1] * 6}
    )
    assert_refused(server.infer("adder", {"inputs": [first, second]}))


@pytest.mark.parametrize("path", bad.PATHS)
def test_nothing_is_found_where_nothing_is(server: Running, path: str) -> None:
    assert_refused(server.ask("POST", path, bad.with_request(), JSON), 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/models/adder/infer"),
        ("PUT", "/v2/models/adder/infer"),
        ("POST", "/v2/models/adder"),
        ("GET", "/v2/repository/index"),
        ("DELETE", "/v2/health/live"),
    ],
)
def test_a_wrong_method_is_refused_and_the_right_one_named(server: Running, method: str, path: str) -> None:
    answer = server.ask(method, path)
    assert_refused(answer, 405)
    assert answer.headers["allow"] in {"GET", "POST"}


def test_an_unknown_field_is_passed_over_or_refused(server: Running) -> None:
    assert server.ask("POST", "/v2/models/fixed/infer", bad.with_request(unknown=1), JSON).status in (200, 400)


def test_a_caller_cannot_give_the_model_that_is_loaded(server: Running) -> None:
    before = version(server.models, "adder")
    for parameters in ({"config": "{}"}, {"file:1/model.onnx": "AAAA", "config": "{}"}):
        request = json.dumps({"parameters": parameters}).encode()
        assert_refused(server.ask("POST", "/v2/repository/models/adder/load", request, JSON))
    assert server.ask("GET", "/v2/models/adder").json["versions"] == [before]


@pytest.mark.parametrize("body", [b"null", b"[]", b"\xff", b"[" * 100_000, b'{"ready": "x"}'])
def test_a_wrong_request_to_the_repository_is_refused(server: Running, body: bytes) -> None:
    for path in ("/v2/repository/index", "/v2/repository/models/adder/load"):
        if (path, body) != ("/v2/repository/models/adder/load", b'{"ready": "x"}'):
            assert_refused(server.ask("POST", path, body, JSON))


def test_a_body_that_is_compressed_is_refused_as_such(server: Running) -> None:
    headers = JSON | {"Content-Encoding": "gzip"}
    answer = server.ask("POST", "/v2/models/fixed/infer", gzip.compress(bad.with_request()), headers)
    assert "gzip" in assert_refused(answer, 400, 415)


def test_names_that_callers_think_of_do_not_become_metrics(server: Running) -> None:
    for number in range(50):
        server.infer(f"thought-of-{number}", {"inputs": []})
    assert "thought-of" not in server.ask("GET", "/metrics").body.decode()


def test_an_input_of_the_model_that_it_cannot_compute_is_refused(server: Running) -> None:
    """The index is an INT64, and outside of the network's table."""
    tensor = {"name": "index", "datatype": "INT64", "shape": [1], "data": [10]}
    assert "table" in assert_refused(server.infer("table", {"inputs": [tensor]}))


def test_good_requests_among_bad_ones_are_all_answered_rightly(server: Running) -> None:
    wrong = list(bad.JSON.values())

    def one(number: int) -> bool:
        if number % 2:
            return 400 <= server.ask("POST", "/v2/models/fixed/infer", wrong[number % len(wrong)], JSON).status < 500
        rows = [[number, 1, 2]] * (1 + number % 4)
        tensor = {"datatype": "FP32", "shape": [len(rows), 3], "data": rows}
        answer = server.infer("adder", {"inputs": [tensor | {"name": "a"}, tensor | {"name": "b"}]})
        found = {output["name"]: np.array(output["data"]).flatten() for output in answer.json["outputs"]}
        return bool((found["sum"] == 2 * np.array(rows).flatten()).all()) and not found["difference"].any()

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(one, range(200)))
