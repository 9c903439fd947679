"""Bounded request bodies: read, unpacked and parsed, with a clear error beyond the limit."""

import zlib
from typing import Any

from fastapi import Request

from bpsweep.server.errors import BadRequestError, TooLargeError
from bpsweep.server.jsontext import load_json

_GZIP_WINDOW = 16 + zlib.MAX_WBITS


async def read_body(request: Request, limit: int) -> bytes:
    """Return a request's body, unpacked if it is gzip, of at most `limit` bytes.

    Raises:
        TooLargeError: The body is longer, packed or unpacked.
        BadRequestError: It says it is gzip and is not, or has an unknown encoding.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooLargeError(f"the request body is longer than {limit:,} bytes")
        chunks.append(chunk)
    body = b"".join(chunks)
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding == "gzip":
        return unpack_gzip(body, limit)
    if encoding not in ("identity", ""):
        raise BadRequestError(f"Content-Encoding {encoding!r} is not known here, use gzip or none")
    return body


def unpack_gzip(body: bytes, limit: int) -> bytes:
    """Return the content of a gzip body without ever holding more than `limit` bytes of it.

    Raises:
        TooLargeError: The content is longer.
        BadRequestError: The body is no gzip.
    """
    unpacker = zlib.decompressobj(_GZIP_WINDOW)
    try:
        content = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise BadRequestError(f"the body is not gzip: {error}") from error
    if len(content) > limit:
        raise TooLargeError(f"the unpacked request body is longer than {limit:,} bytes")
    if not unpacker.eof:
        raise BadRequestError("the gzip body is cut short")
    return content


def parse_object(body: bytes) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        BadRequestError: The body is no JSON or no object.
    """
    try:
        parsed = load_json(body)
    except ValueError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise BadRequestError(f"the body is a JSON object, got {type(parsed).__name__}")
    return parsed
