import asyncio
import json
from typing import Annotated

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsys.edge import Message, Scope
from mlsys.endpoint import JsonEndpoint
from mlsys.errors import InvalidInput, InvalidJson, UnsupportedMediaType
from mlsys.testing import Answer, call, exchange


class Question(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    times: int = 1


class Reply(msgspec.Struct):
    text: str


class Tree(msgspec.Struct):
    branches: list["Tree"] = []


async def climb(tree: Tree) -> Reply:
    return Reply(str(tree))


async def repeat(question: Question) -> Reply:
    """The text, several times over.

    More about it.
    """
    return Reply(question.text * question.times)


Tag = Annotated[str, msgspec.Meta(min_length=1, pattern=r"^[a-z]+$")]


async def tell(question: Question, *, if_match: Tag = "none") -> Reply:
    return Reply(f"{question.text} {if_match}")


ENDPOINT = JsonEndpoint("/repeat", repeat)
WITH_HEADER = JsonEndpoint("/tell", tell, refuses=(409,))


def post(body: bytes | list[bytes]) -> Answer:
    return call(ENDPOINT, "POST", "/repeat", body)


def test_the_body_is_decoded_and_the_answer_encoded() -> None:
    assert post(b'{"text": "ab", "times": 2}') == Answer(
        200, {"content-type": "application/json", "content-length": "15"}, b'{"text":"abab"}'
    )


def test_a_body_in_several_chunks_is_put_together() -> None:
    assert post([b'{"te', b"", b'xt": "a', b'b"}']).json == {"text": "ab"}


def test_the_function_says_what_the_route_takes_answers_and_is_for() -> None:
    assert (ENDPOINT.request_type, ENDPOINT.response_type) == (Question, Reply)
    assert (ENDPOINT.summary, ENDPOINT.description.strip()) == ("The text, several times over.", "More about it.")


def test_the_route_is_known_to_the_edge_by_its_template() -> None:
    scope: Scope = {"type": "http", "headers": []}

    async def never() -> Scope:
        raise AssertionError("the body is not read")

    async def nothing(_: Scope) -> None: ...

    with pytest.raises(UnsupportedMediaType):
        asyncio.run(ENDPOINT(scope, never, nothing))
    assert scope["route"].path == "/repeat"


def told(**headers: str) -> Answer:
    message: Message = {"type": "http.request", "body": b'{"text": "it is"}', "more_body": False}
    given = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.run(exchange(WITH_HEADER, "POST", "/tell", [message], given))


def test_a_parameter_by_keyword_is_a_header_with_a_default() -> None:
    assert told(if_match="abc", if_none_match="def").json == {"text": "it is abc"}
    assert told().json == {"text": "it is none"}


@pytest.mark.parametrize("value", ["", "ABC", "é"])
def test_a_header_that_is_not_what_the_function_takes_is_refused(value: str) -> None:
    with pytest.raises(InvalidInput, match="The header if-match is not what this route takes: expected `str`"):
        told(if_match=value)


def test_a_header_that_comes_twice_is_refused_whatever_it_says() -> None:
    given = [(b"content-type", b"application/json"), (b"if-match", b"abc"), (b"if-match", b"abc")]

    async def never() -> Message:
        raise AssertionError("the body is not read")

    async def nothing(_: Message) -> None: ...

    with pytest.raises(InvalidInput, match="The header if-match came twice; send it once"):
        asyncio.run(WITH_HEADER({"type": "http", "headers": given}, never, nothing))


def test_nothing_is_answered_to_a_caller_who_left() -> None:
    begun: Message = {"type": "http.request", "body": b'{"te', "more_body": True}
    messages = [begun, {"type": "http.disconnect"}]
    headers = {"content-type": "application/json"}
    assert asyncio.run(exchange(ENDPOINT, "POST", "/repeat", messages, headers)).status == 0


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "The body is empty"),
        (b'{"text": "a"', "The body is not JSON: Expecting ',' delimiter"),
        (b'{"text": NaN}', "NaN is not a JSON number"),
        (b'{"text": "\xff"}', "The body is not UTF-8: byte 10 is 0xff."),
    ],
)
def test_what_is_not_json_is_told_from_what_is_wrong(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidJson) as caught:
        post(body)
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{}", "missing required field `text`"),
        (b'{"text": 1}', "expected `str`, got `int` - at `$.text`"),
        (b'{"text": "a", "more": 1}', "unknown field `more`"),
        (b'{"text": "a", "times": 1e400}', "at `$.times`"),
        (b"[" * 200_000, "expected `object`"),
    ],
)
def test_json_that_is_wrong_says_what_and_where(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        post(body)
    assert reason in caught.value.message


def test_a_decoder_that_runs_out_of_depth_is_bad_input() -> None:
    with pytest.raises(InvalidInput, match="nested too deeply"):
        call(JsonEndpoint("/climb", climb), "POST", "/climb", b'{"branches": [' * 50_000)


@given(st.binary(max_size=100) | st.text(alphabet='{}[]:,"0123456789.eE+-ntrufalsx \n', max_size=30).map(str.encode))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_a_body_is_called_not_json_exactly_when_the_standard_library_says_so(body: bytes) -> None:
    try:
        json.loads(body.decode(), parse_constant=int)  # NaN and Infinity are no JSON
        is_json = True
    except ValueError:
        is_json = False
    try:
        post(body)
        called_json = True
    except InvalidJson:
        called_json = False
    except InvalidInput:
        called_json = True
    assert called_json == is_json
