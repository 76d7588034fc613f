import json

from mlsys.envelope import render
from mlsys.errors import InvalidInput, OverCapacity


def test_an_error_becomes_code_message_and_request_id() -> None:
    body, headers = render(InvalidInput("Not this."), "abc")
    assert json.loads(body) == {"error": {"code": "invalid_input", "message": "Not this.", "request_id": "abc"}}
    assert headers == [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]


def test_details_are_there_when_an_error_has_some() -> None:
    body, _ = render(InvalidInput("Not this.", details=[{"where": ["body", 0]}]), "abc")
    assert json.loads(body)["error"]["details"] == [{"where": ["body", 0]}]


def test_an_errors_own_headers_are_sent() -> None:
    assert (b"retry-after", b"1") in render(OverCapacity("Busy."), "abc")[1]
