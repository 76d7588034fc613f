"""Whatever a caller sends, the answer is a 4xx in the error envelope and the next caller is served."""

import json
import math
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsys import iris
from mlsys.app import Service
from mlsys.testing import Answer, call

FLOWER = json.dumps({"data": iris.SAMPLE}).encode()
ROUTES = {"/health", "/ready", "/metrics", "/metadata", "/label", "/predict/test", "/predict/test/label"}
POSTED = {"/predict", "/predict/label"}


@pytest.fixture(autouse=True)
def the_next_caller_is_served(app: Service) -> Iterator[None]:
    yield
    assert call(app, "POST", "/predict/label", FLOWER).json == {"prediction": "setosa"}


def refused(answer: Answer, status: int, code: str) -> str:
    """Check that this is the refusal expected; return its message."""
    assert (answer.status, answer.error["code"]) == (status, code), answer
    message: str = answer.error["message"]
    return message


def post(app: Service, body: bytes) -> Answer:
    return call(app, "POST", "/predict", body)


def flower_of(number: str) -> bytes:
    return b'{"data": [[5.1, 3.5, 1.4, %s]]}' % number.encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"flower",
        b"{'data': [[5.1, 3.5, 1.4, 0.2]]}",
        FLOWER + b" x",
        FLOWER + FLOWER,
        b"\xef\xbb\xbf" + FLOWER,
        b'{"data": [[05.1, 3.5, 1.4, 0.2]]}',
        b'{"data": [[5.1, 3.5, 1.4, 0.2],]}',
        b'{"data": [[5.1, 3.5, 1.4, .2]]}',
        b'{"data": [["\n", 3.5, 1.4, 0.2]]}',
    ],
)
def test_what_is_not_json_is_a_400(app: Service, body: bytes) -> None:
    assert "JSON" in refused(post(app, body), 400, "invalid_json")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "nan", "+1", "0x1", "1e", "1_0", "\u0661"])
def test_what_is_not_a_json_number_is_a_400(app: Service, number: str) -> None:
    refused(post(app, flower_of(number)), 400, "invalid_json")


@pytest.mark.parametrize(
    "body",
    [
        FLOWER + b"\xff",
        b'{"data": "\xff"}',
        b'{"\xff": 1}',
        b'{"data": [["\xc0\xaf"]]}',
        FLOWER.decode().encode("utf-16"),
    ],
)
def test_what_is_not_utf_8_is_a_400_that_names_the_byte(app: Service, body: bytes) -> None:
    assert "not UTF-8: byte" in refused(post(app, body), 400, "invalid_json")


def test_json_that_is_truncated_anywhere_is_a_400(app: Service) -> None:
    for length in range(len(FLOWER)):
        refused(post(app, FLOWER[:length]), 400, "invalid_json")


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"null",
        b"true",
        b'"flower"',
        b"[[5.1, 3.5, 1.4, 0.2]]",
        b'{"data": null}',
        b'{"data": {}}',
        b'{"data": []}',
        b'{"data": [[]]}',
        b'{"data": [5.1, 3.5, 1.4, 0.2]}',
        b'{"data": [[5.1, 3.5, 1.4]]}',
        b'{"data": [[5.1, 3.5, 1.4, 0.2, 0.2]]}',
        b'{"data": [[5.1, 3.5, 1.4, 0.2], [5.1, 3.5, 1.4, 0.2]]}',
        b'{"data": [[5.1, 3.5, 1.4, 0.2]], "species": "setosa"}',
        b'{"Data": [[5.1, 3.5, 1.4, 0.2]]}',
        b'{"data": "\\ud800"}',
        b'{"\\ud800": 1}',
    ],
)
def test_json_of_another_shape_is_a_422(app: Service, body: bytes) -> None:
    refused(post(app, body), 422, "invalid_input")


@pytest.mark.parametrize(
    "number",
    [
        "true",
        "null",
        '"1.5"',
        "[1.5]",
        "{}",
        "1e39",
        "-1e39",
        "3.5e38",
        "1e400",
        "-1e400",
        "9" * 10_000,
        "-" + "9" * 39,
    ],
)
def test_json_that_is_no_float32_is_a_422_that_says_where(app: Service, number: str) -> None:
    assert "$.data[0][3]" in refused(post(app, flower_of(number)), 422, "invalid_input")


@pytest.mark.parametrize("number", ["0", "-0.0", "1e-400", "3.4e38", "-3.4e38", "0." + "1" * 10_000, "1E+2"])
def test_unusual_but_finite_numbers_are_answered_by_finite_probabilities(app: Service, number: str) -> None:
    answer = post(app, flower_of(number))
    assert answer.status == 200
    assert all(math.isfinite(probability) for probability in answer.json["prediction"])


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"data": ' + b"[" * 60_000,
        b'{"data": ' + b'{"data": ' * 6_000 + b"1" + b"}" * 6_001,
        b'{"other": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b"[" * 60_000,
        b'{"a":' * 12_000,
    ],
)
def test_the_deepest_nesting_that_fits_into_a_body_is_a_422(app: Service, body: bytes) -> None:
    refused(post(app, body), 422, "invalid_input")


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_nesting_100_000_deep_is_a_413(app: Service, opening: bytes) -> None:
    refused(post(app, b'{"data": ' + opening * 100_000), 413, "payload_too_large")


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "",
        "é",
    ],
)
def test_another_content_type_is_a_415_that_names_it(app: Service, content_type: str) -> None:
    answer = call(app, "POST", "/predict", FLOWER, {"content-type": content_type})
    assert content_type in refused(answer, 415, "unsupported_media_type")


def test_a_missing_content_type_is_a_415(app: Service) -> None:
    assert "the request has none" in refused(call(app, "POST", "/predict", FLOWER, {}), 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/json;charset=latin-1"]
)
def test_parameters_and_case_of_the_content_type_do_not_matter(app: Service, content_type: str) -> None:
    assert call(app, "POST", "/predict", FLOWER, {"content-type": content_type}).status == 200


@pytest.mark.parametrize("path", sorted(ROUTES | POSTED))
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "BREW"])
def test_a_wrong_method_is_a_405_that_says_which_is_right(app: Service, method: str, path: str) -> None:
    answer = call(app, method, path, FLOWER)
    refused(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == ("POST" if path in POSTED else "GET")


@pytest.mark.parametrize(
    "path",
    ["/", "/predict/", "/health/", "//health", "/Predict", "/\x00", "/../../etc/passwd", "/\n\x1b[31m", "/\ufffd"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_a_404(app: Service, method: str, path: str) -> None:
    refused(call(app, method, path, FLOWER), 404, "not_found")


def test_a_very_long_path_is_a_404_that_does_not_repeat_it_all(app: Service) -> None:
    assert len(refused(call(app, "GET", "/" + "a" * 60_000), 404, "not_found")) < 300


@pytest.mark.parametrize("request_id", ["a" * 10_000, "a" * 129, "a b", "a\tb", "a\x1b[31m", "é", ""])
def test_a_request_id_that_is_too_long_or_not_printable_is_replaced(app: Service, request_id: str) -> None:
    answer = call(app, "GET", "/health", headers={"x-request-id": request_id})
    assert answer.status == 200
    assert len(answer.headers["x-request-id"]) == 36


def test_a_proper_request_id_is_kept_in_answers_and_errors(app: Service) -> None:
    kept = {"x-request-id": "a" * 128, "content-type": "application/json"}
    assert call(app, "POST", "/predict", FLOWER, kept).headers["x-request-id"] == "a" * 128
    assert call(app, "POST", "/predict", b"{}", kept).error["request_id"] == "a" * 128


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda junk: FLOWER[:20] + junk + FLOWER[20:]))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_arbitrary_bytes_are_answered_or_refused(app: Service, body: bytes) -> None:
    assert post(app, body).status in {200, 400, 422}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text() | st.just("data"), inner, max_size=3),
)


@given(JSON | st.builds(lambda value: {"data": [[5.1, 3.5, 1.4, value]]}, JSON))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_arbitrary_json_is_refused_as_what_it_is(app: Service, document: object) -> None:
    body = json.dumps(document).encode()
    is_json = not any(name in body for name in (b"NaN", b"Infinity"))
    assert post(app, body).status in ({200, 422} if is_json else {400, 422})
