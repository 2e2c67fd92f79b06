"""Small PNG files as data URIs: one colour, whose opacity is the value, so that it suits light and dark.

They are stored, not compressed: the bytes are the same under every version of zlib.
"""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
import numpy.typing as npt

COLOUR = (20, 150, 140)
STORED = 0


def shaded(values: npt.NDArray[np.float64]) -> str:
    """(rows, columns) of 0 to 1 as the data URI of a PNG with one pixel for each."""
    return "data:image/png;base64," + base64.b64encode(png(values)).decode()


def png(values: npt.NDArray[np.float64]) -> bytes:
    """The file itself: 8 bits a channel, red, green, blue and opacity."""
    rows, columns = values.shape
    pixels = np.empty((rows, columns, 4), np.uint8)
    pixels[..., :3] = COLOUR
    pixels[..., 3] = np.clip(np.rint(values * 255), 0, 255)
    # Each line begins with its filter: none.
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), pixels.reshape(rows, -1)], axis=1)
    header = struct.pack(">IIBBBBB", columns, rows, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(lines.tobytes(), STORED))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
