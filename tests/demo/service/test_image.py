from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from perfloop_demo.service.pictures import MAX_PIXELS, BadPictureError, build_thumbnail

if TYPE_CHECKING:
    from starlette.testclient import TestClient

PATH = "/api/v1/process/image"


def _draw(width: int = 64, height: int = 32, kind: str = "PNG", mode: str = "RGB") -> bytes:
    packed = io.BytesIO()
    Image.new(mode, (width, height)).save(packed, kind)
    return packed.getvalue()


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_resized(client: TestClient):
    """The thumbnail is a PNG that keeps the picture's shape."""
    answer = client.post(PATH, json={"image": _encode(_draw()), "max_side": 16}).json()
    assert (answer["format"], answer["width"], answer["height"]) == ("PNG", 64, 32)
    small = Image.open(io.BytesIO(base64.b64decode(answer["thumbnail"])))
    assert small.size == (16, 8) == (answer["thumbnail_width"], answer["thumbnail_height"])


def test_equal_picture_has_one_row(client: TestClient):
    """The same picture has the same number, whatever size is asked for."""
    image = _encode(_draw(20, 20))
    numbers = {client.post(PATH, json={"image": image, "max_side": side}).json()["id"] for side in (8, 8, 9)}
    assert len(numbers) == 1


def test_data_url(client: TestClient):
    """A `data:` address is taken as browsers make it."""
    image = f"data:image/png;base64,{_encode(_draw())}"
    assert client.post(PATH, json={"image": image}).status_code == 200


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "RGBA"), ("PNG", "1"), ("JPEG", "L"), ("WEBP", "RGB"), ("GIF", "P")]
)
def test_kinds_of_pictures(kind: str, mode: str):
    """Every common kind of picture is taken."""
    assert build_thumbnail(_draw(kind=kind, mode=mode), 8).thumbnail_width == 8


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "are none of PNG"),
        (b"not a picture", "are none of PNG"),
        (_draw(600, 600, "JPEG")[:700], "damaged"),
        (_draw(5000, 4000, mode="1"), f"more than {MAX_PIXELS} pixels"),
        (_draw(16000, 16000, mode="1"), f"more than {MAX_PIXELS} pixels"),
    ],
)
def test_bad_picture(content: bytes, words: str):
    """Bytes that are no picture, half a picture and decompression bombs are one sentence."""
    with pytest.raises(BadPictureError, match=words):
        build_thumbnail(content, 8)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "image is missing"),
        ({"image": ""}, "image has the value"),
        ({"image": "***"}, "not base64"),
        ({"image": _encode(b"text")}, "are none of"),
        ({"image": _encode(_draw()), "max_side": 0}, "max_side"),
        ({"image": _encode(_draw()), "max_side": 5000}, "max_side"),
    ],
)
def test_bad_request(client: TestClient, body: dict[str, object], words: str):
    """A bad request is a 422 that says what is wrong."""
    answer = client.post(PATH, json=body)
    assert (answer.status_code, words in answer.json()["detail"]) == (422, True)
