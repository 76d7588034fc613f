"""From a picture's bytes to the pixels that the image models take: the one transform of training and serving.

A picture is decoded (the first frame of an animation), turned upright as its EXIF data say, put on white where it is
transparent, made RGB, cropped to its centre square and resized to 32 × 32 by Pillow's bicubic filter, which averages
when it makes smaller. Colour profiles are not applied.
"""

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import InvalidInput, PayloadTooLarge, ServiceError, StartupError, UnsupportedMediaType

SIDE = 32
"""Pixels of each side of what `to_pixels` returns."""
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP")
"""What is decoded. Pillow knows many more; some start other programs."""
MAX_PIXELS = 4096 * 4096
"""Pixels of the largest picture that is decoded: what a telephone takes (12 megapixels), and some more."""
_FILTER = Image.Resampling.BICUBIC
_DRAFT_SIDE = 8 * SIDE  # a JPEG is decoded at an eighth of its size in a tenth of the time; it stays this large
_MAX_SCANS = 100  # of a progressive JPEG, which has about ten; each costs a pass over all pixels, and a few bytes

# Pillow warns of a decompression bomb, and raises for one twice as large. Both are refusals here.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def to_pixels(content: bytes, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """The pixels [32, 32, 3] (row, column, RGB; 0 to 255) of a picture in one of FORMATS.

    Raises: UnsupportedMediaType if the bytes begin as no such picture; PayloadTooLarge if the picture has more than
    `max_pixels`, which its header tells before anything is decoded; InvalidInput if it is empty, damaged or truncated.
    """
    try:
        return np.array(_small(_square(_upright(_open(content, max_pixels)))))
    except ServiceError:
        raise
    except Exception as error:  # a decoder of hostile bytes fails in every way: OSError, SyntaxError, struct.error, …
        raise InvalidInput(f"The picture is damaged or truncated ({_reason(error)}).") from error


def read_sample(path: Path) -> bytes:
    """The file that a service's test routes use; it is decoded once, which also loads what the first request needs.

    Raises: StartupError if it is not there, or no picture.
    """
    try:
        content = path.read_bytes()
        to_pixels(content)
    except (OSError, ServiceError) as error:
        advice = "write the sample pictures by `python -m mlsys.pictures`, or set SAMPLE_PATH"
        raise StartupError(f"SAMPLE_PATH={path} cannot be used ({error}): {advice}.") from error
    return content


def _open(content: bytes, max_pixels: int) -> Image.Image:
    """The picture, its header read and not yet its pixels."""
    if not content:
        raise InvalidInput("The picture is empty: it has 0 bytes.")
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        known = ", ".join(FORMATS)
        raise UnsupportedMediaType(f"The {len(content)} bytes are no picture of a known format: {known}.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PayloadTooLarge(f"The picture has more pixels than the {max_pixels} that are taken.") from None
    width, height = image.size
    if width * height > max_pixels:
        raise PayloadTooLarge(f"The picture has {width} × {height} pixels; at most {max_pixels} are taken.")
    if image.format in ("JPEG", "MPO"):
        if content.count(b"\xff\xda") > _MAX_SCANS:  # inside a scan 0xff is always followed by another byte
            raise InvalidInput(f"The picture is a JPEG of more than {_MAX_SCANS} scans.")
        image.draft(None, (_DRAFT_SIDE, _DRAFT_SIDE))
    return image


def _upright(image: Image.Image) -> Image.Image:
    ImageOps.exif_transpose(image, in_place=True)  # else it is copied even where there is nothing to turn
    return image


def _square(image: Image.Image) -> Image.Image:
    """The largest square in the middle; of an odd rest, the left and the top lose the smaller half."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image if image.width == image.height else image.crop((left, top, left + side, top + side))


def _small(image: Image.Image) -> Image.Image:
    """As RGB and of the right size. What can be done to the small picture is not done to the large one."""
    if image.mode.startswith("I"):  # 16 bits of grey, of which Pillow would keep the lower 8
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.has_transparency_data:
        small = image.convert("RGBA").resize((SIDE, SIDE), _FILTER)
        return Image.alpha_composite(Image.new("RGBA", small.size, "white"), small).convert("RGB")
    elif image.mode not in ("L", "RGB"):  # no filter works on numbers of a palette
        image = image.convert("RGB")
    return image.resize((SIDE, SIDE), _FILTER).convert("RGB")


def _reason(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text[:100]
