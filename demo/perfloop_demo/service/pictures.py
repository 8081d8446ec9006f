"""Decode, check and resize a picture with Pillow."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

# 48 MB when decoded to RGB.
MAX_PIXELS = 16_000_000
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")


class BadPictureError(Exception):
    """One sentence with the reason why the service does not accept these bytes as a picture."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A smaller copy of a picture, and what the picture was."""

    format: str
    width: int
    height: int
    thumbnail_width: int
    thumbnail_height: int
    png: bytes


def build_thumbnail(content: bytes, max_side: int) -> Thumbnail:
    """Return a copy whose sides have at most `max_side` pixels.

    Raises:
        BadPictureError: the bytes are no picture, damaged, or more than `MAX_PIXELS` pixels.
    """
    try:
        return _resize(content, max_side)
    except UnidentifiedImageError:
        raise BadPictureError(f"The image's {len(content)} bytes are none of {', '.join(_FORMATS)}.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadPictureError(_too_large()) from None
    except (OSError, ValueError, SyntaxError, EOFError) as error:  # how Pillow's decoders report broken files
        raise BadPictureError(f"The image is damaged: {str(error).rstrip('.')}.") from error


def _resize(content: bytes, max_side: int) -> Thumbnail:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        picture = Image.open(io.BytesIO(content), formats=_FORMATS)
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise BadPictureError(_too_large())
    small = picture.convert("RGB")
    small.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    packed = io.BytesIO()
    small.save(packed, "PNG")
    return Thumbnail(picture.format or "", width, height, small.width, small.height, packed.getvalue())


def _too_large() -> str:
    return f"The image has more than {MAX_PIXELS} pixels: send a smaller one."
