"""`POST /api/v1/process/image`: decode and resize a picture, and store its properties."""

from __future__ import annotations

import base64

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from perfloop_demo.service import tables
from perfloop_demo.service.pictures import BadPictureError, build_thumbnail
from perfloop_demo.service.service import ServiceDep, digest

router = APIRouter()

# A picture of 9 MiB.
_MAX_BASE64 = 12 * 1024 * 1024
_MAX_IMAGES = 1000


class ImageRequest(BaseModel):
    """A picture in base64, with or without a `data:` prefix."""

    model_config = ConfigDict(extra="forbid")

    image: str = Field(min_length=1, max_length=_MAX_BASE64)
    max_side: int = Field(128, ge=1, le=1024)


class ImageResponse(BaseModel):
    """What the picture was, and its smaller copy as PNG in base64."""

    id: int
    format: str
    width: int
    height: int
    thumbnail_width: int
    thumbnail_height: int
    thumbnail: str


@router.post("/api/v1/process/image")
def process_image(request: ImageRequest, service: ServiceDep) -> ImageResponse:
    """Resize a picture and store a row about it; the result of an equal picture comes from the cache."""
    content = _decode(request.image)
    name = digest(content)
    key = f"image:{request.max_side}:{name}"
    known = service.cache.get(key)
    if known is not None:
        return ImageResponse.model_validate_json(known)
    try:
        with service.instruments.measure_resize():
            small = build_thumbnail(content, request.max_side)
    except BadPictureError as error:
        raise HTTPException(422, str(error)) from error
    row = {"digest": name, "format": small.format, "width": small.width, "height": small.height}
    number, _ = service.database.add_once(tables.images, row, _MAX_IMAGES)
    response = ImageResponse(
        id=number,
        format=small.format,
        width=small.width,
        height=small.height,
        thumbnail_width=small.thumbnail_width,
        thumbnail_height=small.thumbnail_height,
        thumbnail=base64.b64encode(small.png).decode(),
    )
    service.cache.set(key, response.model_dump_json().encode())
    return response


def _decode(text: str) -> bytes:
    payload = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode(payload, validate=True)
    except ValueError as error:  # binascii.Error among them
        raise HTTPException(422, f"image has {len(text)} characters that are not base64: {error}.") from error
