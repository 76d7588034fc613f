"""The transform of training and serving: what pictures become, and which bytes are refused."""

import io
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from mlsys import pictures
from mlsys.errors import InvalidInput, PayloadTooLarge, ServiceError, StartupError, UnsupportedMediaType
from mlsys.picture import FORMATS, MAX_PIXELS, SIDE, read_sample, to_pixels

Pixels = NDArray[np.uint8]


def noise(width: int, height: int) -> Image.Image:
    """Blocks of random colours, which survive compression."""
    small = np.random.default_rng(0).integers(0, 256, (-(-height // 8), -(-width // 8), 3), dtype=np.uint8)
    return Image.fromarray(small.repeat(8, 0).repeat(8, 1)[:height, :width])


def file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:  # noqa: ANN401  # Pillow's
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def flat(mode: str, colour: Any, size: tuple[int, int] = (50, 40)) -> Image.Image:  # noqa: ANN401  # Pillow's
    return Image.new(mode, size, colour)


def colour_of(content: bytes) -> tuple[int, ...]:
    """The one colour of all pixels."""
    pixels = to_pixels(content)
    assert pixels.shape == (SIDE, SIDE, 3)
    assert (pixels == pixels[0, 0]).all()
    return tuple(pixels[0, 0].tolist())


def header_alone(width: int, height: int) -> bytes:
    """A PNG that declares a size and has no pixels to speak of."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 100)
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data, b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_a_picture_of_the_right_size_comes_back_pixel_for_pixel() -> None:
    image = noise(SIDE, SIDE)
    pixels = to_pixels(file(image))
    assert (str(pixels.dtype), pixels.shape) == ("uint8", (SIDE, SIDE, 3))
    assert (pixels == np.asarray(image)).all()


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_decoded_to_about_the_same_pixels(kind: str) -> None:
    options = {"quality": 100} if kind in ("JPEG", "WEBP") else {}
    expected = to_pixels(file(noise(120, 90))).astype(int)
    difference = np.abs(to_pixels(file(noise(120, 90), kind, **options)) - expected)
    assert difference.mean() < 12  # GIF has 256 colours


def test_the_middle_square_is_taken() -> None:
    image = flat("RGB", "white", (90, 30))
    image.paste("black", (30, 0, 60, 30))
    assert colour_of(file(image)) == (0, 0, 0)
    assert colour_of(file(image.transpose(Image.Transpose.ROTATE_90))) == (0, 0, 0)


@pytest.mark.parametrize("size", [(120, 90), (91, 120), (SIDE, SIDE), (7, 12)])
def test_a_picture_in_any_of_the_eight_orientations_is_turned_upright(size: tuple[int, int]) -> None:
    upright = noise(*size)
    inverse = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    for orientation, turn in inverse.items():
        stored = upright if turn is None else upright.transpose(turn)
        exif = Image.Exif()
        exif[0x0112] = orientation
        assert (to_pixels(file(stored, exif=exif)) == to_pixels(file(upright))).all(), orientation


def test_an_orientation_that_does_not_exist_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    assert (to_pixels(file(noise(40, 40), exif=exif)) == to_pixels(file(noise(40, 40)))).all()


@pytest.mark.parametrize(
    ("content", "colour"),
    [
        (file(flat("L", 100)), (100, 100, 100)),
        (file(flat("1", 1)), (255, 255, 255)),
        (file(flat("I;16", 100 * 257)), (100, 100, 100)),
        (file(flat("LA", (100, 255))), (100, 100, 100)),
        (file(flat("RGBA", (200, 100, 0, 0))), (255, 255, 255)),
        (file(flat("RGBA", (0, 0, 0, 255))), (0, 0, 0)),
        (file(flat("P", 0), transparency=0), (255, 255, 255)),
        (file(flat("RGB", (1, 2, 3)), transparency=(1, 2, 3)), (255, 255, 255)),
        (file(flat("L", 100), "JPEG"), (100, 100, 100)),
        (file(flat("CMYK", (0, 0, 0, 0)), "JPEG"), (255, 255, 255)),
        (file(flat("CMYK", (0, 0, 0, 255)), "JPEG"), (0, 0, 0)),
        (file(flat("L", 7, (1, 1))), (7, 7, 7)),
        (file(flat("L", 7, (1, 5000))), (7, 7, 7)),
        (file(flat("L", 7, (5000, 1))), (7, 7, 7)),
    ],
    ids=[
        "grey",
        "black and white",
        "16 bits",
        "grey with opacity",
        "transparent",
        "opaque",
        "palette with a transparent colour",
        "RGB with a transparent colour",
        "grey JPEG",
        "CMYK white",
        "CMYK black",
        "1 × 1",
        "1 × 5000",
        "5000 × 1",
    ],
)
def test_unusual_pictures_have_the_colour_that_a_viewer_shows(content: bytes, colour: tuple[int, ...]) -> None:
    assert colour_of(content) == colour


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [flat("RGB", colour) for colour in ("red", "lime", "blue")]
    for kind, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})):
        content = file(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert colour_of(content) == (255, 0, 0), kind


def test_a_large_jpeg_is_read_at_a_fraction_of_its_size_with_about_the_same_result() -> None:
    content = file(noise(2400, 1600), "JPEG", quality=95)
    with Image.open(io.BytesIO(content)) as image:
        whole = file(image.convert("RGB"))
    difference = np.abs(to_pixels(content).astype(int) - to_pixels(whole))
    assert difference.mean() < 2


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", InvalidInput),
        (b"text", UnsupportedMediaType),
        (b"\0" * 1000, UnsupportedMediaType),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', UnsupportedMediaType),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", UnsupportedMediaType),
        (file(noise(40, 40), "TIFF"), UnsupportedMediaType),
        (file(noise(40, 40), "PPM"), UnsupportedMediaType),
        (b"\x89PNG\r\n\x1a\n", UnsupportedMediaType),
        (b"\xff\xd8\xff", UnsupportedMediaType),
        (header_alone(100, 100), InvalidInput),
        (header_alone(0, 0), UnsupportedMediaType),
    ],
    ids=["empty", "text", "zeros", "SVG", "EPS", "TIFF", "PPM", "PNG magic", "JPEG magic", "no pixels", "0 × 0"],
)
def test_what_is_no_picture_is_refused_as_what_it_is(content: bytes, error: type[ServiceError]) -> None:
    with pytest.raises(error) as raised:
        to_pixels(content)
    assert raised.value.status in (415, 422)


@pytest.mark.parametrize("size", [(4097, 4096), (10_000, 10_000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(size: tuple[int, int]) -> None:
    began = time.process_time()
    with pytest.raises(PayloadTooLarge, match=f"more pixels than|at most {MAX_PIXELS}"):
        to_pixels(header_alone(*size))
    assert time.process_time() - began < 0.5


def test_the_largest_number_of_pixels_can_be_chosen() -> None:
    content = file(noise(100, 50))
    assert to_pixels(content, max_pixels=5000).shape == (SIDE, SIDE, 3)
    with pytest.raises(PayloadTooLarge, match=r"100 × 50 pixels; at most 4999 are taken"):
        to_pixels(content, max_pixels=4999)


def test_a_jpeg_that_is_all_scans_is_refused_before_it_is_decoded() -> None:
    content = file(noise(400, 400), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    with pytest.raises(InvalidInput, match="more than 100 scans"):
        to_pixels(content[:-2] + content[last:-2] * 200 + b"\xff\xd9")
    assert to_pixels(content).shape == (SIDE, SIDE, 3)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_truncated_picture_is_refused_or_whole_all_the_same(kind: str) -> None:
    content = file(noise(96, 72), kind)
    whole = to_pixels(content)
    refused = 0
    for length in range(0, len(content), max(1, len(content) // 150)):
        try:
            pixels = to_pixels(content[:length])
        except ServiceError as error:
            assert 400 <= error.status < 500
            refused += 1
        else:
            assert (pixels == whole).all(), f"{kind} of {length} of {len(content)} bytes is another picture"
    assert refused > 100


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_picture_is_refused_or_some_picture_and_nothing_else(kind: str) -> None:
    content, random = file(noise(48, 48), kind), np.random.default_rng(1)
    for _ in range(300):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 4):
            damaged[place] = random.integers(0, 256)
        answered_or_refused(bytes(damaged))


@given(st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"BM"]), st.binary(max_size=300))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_arbitrary_bytes_are_refused_and_nothing_else(magic: bytes, rest: bytes) -> None:
    answered_or_refused(magic + rest)


def answered_or_refused(content: bytes) -> None:
    try:
        assert to_pixels(content, max_pixels=10**6).shape == (SIDE, SIDE, 3)
    except ServiceError as error:
        assert error.status in (413, 415, 422)


@pytest.mark.parametrize("name", pictures.NAMES)
def test_the_sample_pictures_are_the_same_every_time(name: str) -> None:
    content = pictures.content(name)
    assert content == pictures.content(name)
    with Image.open(io.BytesIO(content)) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (pictures.SIDE, pictures.SIDE))
    assert to_pixels(content).std() > 20, "a picture of something"


def test_writing_the_sample_pictures_leaves_those_that_are_there(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "pictures"
    assert [path.stem for path in pictures.write(folder)] == list(pictures.NAMES)
    assert (folder / "cat.png").read_bytes() == pictures.content("cat")
    (folder / "horse.png").unlink()
    assert [path.stem for path in pictures.write(folder)] == ["horse"]
    assert not list(folder.glob("*.part"))


def test_a_sample_that_is_missing_or_no_picture_is_refused_with_its_path_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    for name in ("nowhere.png", "text.png"):
        with pytest.raises(StartupError, match=rf"SAMPLE_PATH=.*{name} cannot be used .*: write the sample"):
            read_sample(tmp_path / name)
