"""Responses that are sent while they are made."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

from runtime.page.media.media import Media


async def streamed(media: Media, pieces: AsyncIterator[bytes], media_type: str, name: str) -> StreamingResponse:
    """Return a download; its first piece is made before, so that an error until then is a status.

    Args:
        media: counts exports.
        pieces: the content.
        media_type: of the content.
        name: of the file.

    Raises:
        Refused: too many exports are being made; or what the first piece raises.
    """
    media.begin_export()
    body = _counted(media, pieces)
    first = await anext(body, b"")
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return StreamingResponse(_whole(first, body), media_type=media_type, headers=headers)


async def _counted(media: Media, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for piece in pieces:
            yield piece
    finally:
        media.end_export()


async def _whole(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece
