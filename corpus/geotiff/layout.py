"""Does everything that a TIFF's directories point to lie inside the file? Checked before GDAL reads anything.

GDAL opens a file whose end is missing as long as its first directory is there: lost strips surface only when they
are read, and a lost tag (the calibration constant, say) does not surface at all.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS = {3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
_WIDTH, _HEIGHT, _SAMPLES_PER_PIXEL = 256, 257, 277
_BLOCKS = ((273, 279), (324, 325))  # (offsets, byte counts) of strips and of tiles
_MAX_DIRECTORIES = 64  # an image, its mask and their overviews; a loop of directories ends here


class TruncatedTiff(Exception):
    """Something lies behind the end of the file; the message says what."""


@dataclass(frozen=True)
class TiffLayout:
    """What the first directory says of the image's size. A file without a directory has 0 of everything."""

    width: int
    height: int
    bands: int


def read_layout(path: str | Path) -> TiffLayout:
    """Check the classic TIFF or BigTIFF at `path`. Raises TruncatedTiff, and OSError where it cannot be opened."""
    size = Path(path).stat().st_size
    first = None
    with open(path, "rb") as file:
        head = _take(file, 0, 8, size, "header")
        order = "<" if head[:2] == b"II" else ">"
        big = head[2:4] in (b"+\0", b"\0+")
        if big:
            (offset,) = struct.unpack(order + "Q", _take(file, 8, 8, size, "header"))
        else:
            (offset,) = struct.unpack(order + "I", head[4:])
        for _ in range(_MAX_DIRECTORIES):
            if offset == 0:
                break
            tags, offset = _directory(file, offset, size, order, big)
            _check_blocks(tags, size)
            first = first or tags
    if first is None:
        return TiffLayout(0, 0, 0)
    return TiffLayout(
        *(
            int(first[tag][0]) if len(first.get(tag, ())) else default
            for tag, default in ((_WIDTH, 0), (_HEIGHT, 0), (_SAMPLES_PER_PIXEL, 1))
        )
    )


_SNAP_TAG = 65000
_LARGEST_SNAP_BYTES = 64 * 2**20


def snap_band_names(path: str | Path) -> tuple[str, ...]:
    """Names of the bands in the tag that SNAP writes into a GeoTIFF, which GDAL does not read; () without the tag.

    Raises:
        TruncatedTiff: the tag lies behind the file's end.
        OSError: the file cannot be read.
    """
    size = Path(path).stat().st_size
    with open(path, "rb") as file:
        head = _take(file, 0, 16 if size >= 16 else 8, size, "header")
        order = "<" if head[:2] == b"II" else ">"
        big = head[2:4] in (b"+\0", b"\0+")
        (offset,) = struct.unpack(order + ("Q" if big else "I"), head[8:16] if big else head[4:8])
        text = _text(file, offset, size, order, big)
    names = {}
    for info in re.findall(r"<Spectral_Band_Info>(.*?)</Spectral_Band_Info>", text, re.DOTALL):
        index = re.search(r"<BAND_INDEX>\s*(\d+)\s*</BAND_INDEX>", info)
        name = re.search(r"<BAND_NAME>\s*([^<]*?)\s*</BAND_NAME>", info)
        if index and name:
            names[int(index[1])] = name[1]
    return tuple(names[index] for index in sorted(names))


def _text(file: BinaryIO, offset: int, size: int, order: str, big: bool) -> str:
    """The text of SNAP's tag in the directory at `offset`; '' where there is none, or it is too long to be one."""
    count_format, inline, count_bytes, entry_bytes = ("Q", 8, 8, 20) if big else ("H", 4, 2, 12)
    (count,) = struct.unpack(order + count_format, _take(file, offset, count_bytes, size, "directory"))
    body = _take(file, offset + count_bytes, count * entry_bytes, size, "directory")
    for index in range(count):
        entry = body[index * entry_bytes : (index + 1) * entry_bytes]
        tag, kind, values = struct.unpack(order + ("HHQ" if big else "HHI"), entry[:-inline])
        if tag == _SNAP_TAG and kind == 2 and inline < values <= _LARGEST_SNAP_BYTES:
            (start,) = struct.unpack(order + ("Q" if big else "I"), entry[-inline:])
            return _take(file, start, values, size, "SNAP tag").decode("utf-8", "replace")
    return ""


def _directory(file: BinaryIO, offset: int, size: int, order: str, big: bool) -> tuple[dict[int, np.ndarray], int]:
    """Integer tags needed here by number, and the offset of the next directory."""
    count_format, entry_format, inline, count_bytes = ("Q", "HHQ", 8, 8) if big else ("H", "HHI", 4, 2)
    (count,) = struct.unpack(order + count_format, _take(file, offset, count_bytes, size, "directory"))
    entry_bytes = 20 if big else 12
    body = _take(file, offset + count_bytes, count * entry_bytes + inline, size, "directory")
    wanted = {_WIDTH, _HEIGHT, _SAMPLES_PER_PIXEL, *(tag for pair in _BLOCKS for tag in pair)}
    pointer = order + ("Q" if big else "I")
    tags = {}
    for index in range(count):
        entry = body[index * entry_bytes : (index + 1) * entry_bytes]
        tag, kind, values = struct.unpack(order + entry_format, entry[:-inline])
        length = _TYPE_BYTES.get(kind, 1) * values
        start = None if length <= inline else struct.unpack(pointer, entry[-inline:])[0]
        if start is not None and start + length > size:
            raise TruncatedTiff(f"the value of tag {tag} ends at byte {start + length} of {size}")
        if tag in wanted and kind in _INTEGERS:
            data = entry[-inline:][:length] if start is None else _take(file, start, length, size, f"tag {tag}")
            tags[tag] = np.frombuffer(data, order + _INTEGERS[kind])
    return tags, struct.unpack(pointer, body[-inline:])[0]


def _check_blocks(tags: dict[int, np.ndarray], size: int) -> None:
    for offsets, lengths in _BLOCKS:
        if offsets in tags and lengths in tags and len(tags[offsets]) == len(tags[lengths]):
            # Offset 0 is a block that was never written (a sparse file): GDAL reads it as no-data.
            ends = tags[offsets].astype(np.float64) + tags[lengths]
            behind = int(((ends > size) & (tags[offsets] > 0)).sum())
            if behind:
                raise TruncatedTiff(f"{behind} of {len(ends)} blocks of pixels lie behind its end")


def _take(file: BinaryIO, offset: int, length: int, size: int, what: str) -> bytes:
    if offset + length > size:
        raise TruncatedTiff(f"its {what} lies behind its end")
    file.seek(offset)
    return file.read(length)
