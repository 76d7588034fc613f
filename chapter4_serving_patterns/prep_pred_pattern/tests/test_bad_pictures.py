"""Whatever is sent as a picture, the answer is right or a 4xx, and the next caller is served."""

import io
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mlsys import pictures
from mlsys.app import Service
from mlsys.picture import to_pixels
from mlsys.testing import Answer, call

from .forms import FORM_TYPE, WAYS, as_bytes, as_form, as_json
from .standin import StandIn

CAT = pictures.content("cat")
BOMB = b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 30_000, 30_000, 1, 24, *[0] * 6)


def image(mode: str, colour: Any, kind: str = "PNG", size: tuple[int, int] = (60, 40), **options: Any) -> bytes:  # noqa: ANN401  # Pillow's
    content = io.BytesIO()
    Image.new(mode, size, colour).save(content, kind, **options)
    return content.getvalue()


def turned(orientation: int) -> bytes:
    """A red left half and a blue right half, stored so that this EXIF orientation makes them so."""
    halves = Image.new("RGB", (64, 64), "red")
    halves.paste("blue", (32, 0, 64, 64))
    turns = [None, None, 0, 3, 1, 5, 2, 6, 4]  # of Pillow's Transpose: the inverse of each orientation
    turn = turns[orientation]
    stored = halves if turn is None else halves.transpose(Image.Transpose(turn))
    exif, content = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    stored.save(content, "PNG", exif=exif)
    return content.getvalue()


def frames() -> bytes:
    content = io.BytesIO()
    colours = [Image.new("RGB", (40, 40), colour) for colour in ("red", "lime", "blue")]
    colours[0].save(content, "GIF", save_all=True, append_images=colours[1:])
    return content.getvalue()


# What is sent, and either the refusal's status or the colour of the first and the last pixel of the tensor.
BLUE, GREY, WHITE, BLACK = (0, 0, 255), (100, 100, 100), (255, 255, 255), (0, 0, 0)
Colours = tuple[tuple[int, ...], tuple[int, ...]]
PICTURES: dict[str, tuple[bytes, int | Colours]] = {
    "0 bytes": (b"", 422),
    "truncated PNG": (CAT[: len(CAT) // 2], 422),
    "truncated JPEG": (image("RGB", "red", "JPEG", (500, 500))[:1500], 422),
    "PNG without its end": (CAT[:-400], 422),
    "decompression bomb": (BOMB, 413),
    "text": (b"I am a cat.", 415),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>', 415),
    "PDF": (b"%PDF-1.7\n", 415),
    "TIFF": (image("RGB", "red", "TIFF"), 415),
    "16 bits": (image("I;16", 100 * 257), (GREY, GREY)),
    "grey": (image("L", 100), (GREY, GREY)),
    "black and white": (image("1", 1), (WHITE, WHITE)),
    "CMYK JPEG": (image("CMYK", (0, 0, 0, 255), "JPEG"), (BLACK, BLACK)),
    "transparent palette": (image("P", 0, transparency=0), (WHITE, WHITE)),
    "transparent": (image("RGBA", (9, 9, 9, 0)), (WHITE, WHITE)),
    "1 × 1": (image("L", 100, size=(1, 1)), (GREY, GREY)),
    "1 × 5000": (image("L", 100, size=(1, 5000)), (GREY, GREY)),
    "animated GIF": (frames(), ((255, 0, 0), (255, 0, 0))),
    **{f"orientation {number}": (turned(number), ((255, 0, 0), BLUE)) for number in range(1, 9)},
}


@pytest.fixture(autouse=True)
def the_next_caller_is_served(app: Service) -> Iterator[None]:
    yield
    assert call(app, "POST", "/predict/label", CAT, {"content-type": "image/png"}).json == {"prediction": "cat"}


def post(app: Service, body: bytes, content_type: str) -> Answer:
    return call(app, "POST", "/predict", body, {"content-type": content_type})


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_answered_rightly_or_refused(
    app: Service, standin: StandIn, name: str, way: Callable[[bytes], tuple[bytes, str]]
) -> None:
    content, expected = PICTURES[name]
    body, content_type = way(content)
    answer = post(app, body, content_type)
    if isinstance(expected, int):
        assert answer.status == (422 if (name, way) == ("0 bytes", as_json) else expected)
        assert answer.error["message"]
        assert standin.received == []
    else:
        assert answer.status == 200
        (tensor,) = standin.received
        assert (tuple(tensor[0, 0, 0].tolist()), tuple(tensor[0, -1, -1].tolist())) == expected


JSON = {
    "not JSON": (b"cat", 400),
    "cut": (b'{"data": "aaaa', 400),
    "not UTF-8": (b'{"data": "\xff"}', 400),
    "no data": (b"{}", 422),
    "empty data": (b'{"data": ""}', 422),
    "a number": (b'{"data": 1}', 422),
    "a list": (b'{"data": ["aaaa"]}', 422),
    "unknown field": (b'{"data": "aaaa", "size": 32}', 422),
    "not base64": (b'{"data": "c@t!"}', 422),
    "not ASCII": ('{"data": "кот"}'.encode(), 422),
    "urlsafe base64": (b'{"data": "-_-_"}', 422),
    "base64 with a line break": (b'{"data": "aaaa\\naaaa"}', 422),
    "padding missing": (b'{"data": "aaaaa"}', 422),
    "padding amid": (b'{"data": "aa==aaaa"}', 422),
    "data URL without data": (b'{"data": "data:image/png;base64,"}', 422),
    "data URL without a comma": (b'{"data": "data:image/png"}', 422),
    "base64 of no picture": (b'{"data": "aaaa"}', 415),
}


@pytest.mark.parametrize("name", JSON)
def test_json_that_holds_no_picture_is_refused(app: Service, standin: StandIn, name: str) -> None:
    body, status = JSON[name]
    answer = post(app, body, "application/json")
    assert (answer.status, standin.received) == (status, []), answer.error


def part(name: str, content: bytes = CAT) -> bytes:
    return f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + content + b"\r\n"


END = b"--edge--\r\n"
FORMS = {
    "empty": (b"", FORM_TYPE),
    "no boundary named": (as_form(CAT)[0], "multipart/form-data"),
    "empty boundary": (as_form(CAT)[0], "multipart/form-data; boundary="),
    "another boundary": (as_form(CAT)[0], "multipart/form-data; boundary=other"),
    "a boundary too long": (as_form(CAT)[0], "multipart/form-data; boundary=" + "a" * 2000),
    "another field": (as_form(CAT, "image")[0], FORM_TYPE),
    "no name": (b"--edge\r\nContent-Type: image/png\r\n\r\n" + CAT + b"\r\n" + END, FORM_TYPE),
    "two files": (part("file") + part("file") + END, FORM_TYPE),
    "a file and more": (part("file") + part("size", b"32") + END, FORM_TYPE),
    "no end": (part("file"), FORM_TYPE),
    "cut in its head": (part("file")[:30], FORM_TYPE),
    "no field": (END, FORM_TYPE),
    "100,000 fields": (part("a", b"") * 100_000 + END, FORM_TYPE),
    "many headers": (b"--edge\r\n" + b"X: y\r\n" * 1000 + b"\r\n" + END, FORM_TYPE),
    "a long header": (b"--edge\r\nX: " + b"y" * 100_000 + b"\r\n\r\n" + END, FORM_TYPE),
    "not a form": (CAT, FORM_TYPE),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_form_that_is_none_is_refused(app: Service, standin: StandIn, name: str) -> None:
    answer = post(app, *FORMS[name])
    assert (answer.status, standin.received) == (422, []), answer.error


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/octet-stream", "application/x-www-form-urlencoded", "images/png", "é"],
)
def test_another_content_type_is_a_415_that_names_those_that_are_taken(app: Service, content_type: str) -> None:
    answer = post(app, CAT, content_type)
    assert answer.status == 415
    for taken in ("application/json", "multipart/form-data", "image/"):
        assert taken in answer.error["message"]


def test_a_missing_content_type_is_a_415(app: Service) -> None:
    answer = call(app, "POST", "/predict", CAT, {})
    assert answer.status == 415
    assert "the request has none" in answer.error["message"]


def test_the_bytes_decide_and_not_the_name_that_they_are_sent_under(app: Service, standin: StandIn) -> None:
    assert post(app, CAT, "image/jpeg").status == 200
    assert (standin.received[0] == to_pixels(CAT)).all()
    assert post(app, b"text", "IMAGE/PNG; charset=utf-8").status == 415


@pytest.mark.parametrize("way", WAYS)
def test_a_body_over_the_cap_is_a_413_that_closes_the_connection(
    app: Service, way: Callable[[bytes], tuple[bytes, str]]
) -> None:
    answer = post(app, *way(b"\0" * (8 * 2**20 + 1)))
    assert (answer.status, answer.headers["connection"]) == (413, "close")


def test_the_largest_body_is_looked_at(app: Service) -> None:
    assert post(app, b"\0" * (8 * 2**20), "image/png").status == 415


@given(st.binary(max_size=200), st.sampled_from(["image/png", "application/json", FORM_TYPE]), st.integers(0, 200))
@settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_arbitrary_bytes_are_refused(app: Service, junk: bytes, content_type: str, place: int) -> None:
    way = {"image/png": as_bytes, "application/json": as_json}.get(content_type, as_form)
    whole, _ = way(image("L", 100, size=(8, 8)))
    assert post(app, junk, content_type).status in {400, 413, 415, 422}
    assert post(app, whole[:place] + junk + whole[place:], content_type).status in {200, 400, 413, 415, 422}
