"""Why a file, or a window of it, cannot be used: the reasons, and the error that carries one."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from corpus.storage.errors import InputError


class Reason(StrEnum):
    """Why a file or a window of it cannot be used."""

    NOT_A_GEOTIFF = "not_a_geotiff"
    TRUNCATED = "truncated"
    NO_CRS = "no_crs"
    NO_TRANSFORM = "no_transform"
    NO_BANDS = "no_bands"
    UNKNOWN_BANDS = "unknown_bands"
    COMPACT_POLARISATION = "compact_polarisation"
    UNSUPPORTED_DTYPE = "unsupported_dtype"
    NOT_FINITE = "not_finite"
    CONSTANT = "constant"
    VIRTUAL_OR_REMOTE = "virtual_or_remote"
    OUTSIDE_FOLDER = "outside_folder"
    NAME_NOT_UTF8 = "name_not_utf8"
    TOO_SMALL = "too_small"
    TOO_LARGE = "too_large"
    NOT_BACKSCATTER = "not_backscatter"
    UNCLEAR_UNITS = "unclear_units"
    DUPLICATE = "duplicate"
    UNREADABLE = "unreadable"


_WHAT = {
    Reason.NOT_A_GEOTIFF: "is not a GeoTIFF",
    Reason.TRUNCATED: "is truncated: the file ends before its pixels do",
    Reason.NO_CRS: "has no coordinate reference system",
    Reason.NO_TRANSFORM: "has no invertible georeferencing transform",
    Reason.NO_BANDS: "has no bands or no pixels",
    Reason.UNKNOWN_BANDS: "does not say which polarisation its bands are",
    Reason.COMPACT_POLARISATION: "is of compact polarisation, which is not supported",
    Reason.UNSUPPORTED_DTYPE: "has a pixel type that is not backscatter",
    Reason.NOT_FINITE: "has too many pixels without a value",
    Reason.CONSTANT: "has the same value in every pixel of a band",
    Reason.VIRTUAL_OR_REMOTE: "is a virtual or remote dataset, not a local GeoTIFF",
    Reason.OUTSIDE_FOLDER: "leads out of the folder that is being read",
    Reason.NAME_NOT_UTF8: "has a name that is not UTF-8, so that no report could name it",
    Reason.TOO_SMALL: "is smaller than one tile",
    Reason.TOO_LARGE: "is too large to be read as one tile",
    Reason.NOT_BACKSCATTER: "is not backscatter",
    Reason.UNCLEAR_UNITS: "does not say in which unit its values are",
    Reason.DUPLICATE: "has the same content as a file already read",
    Reason.UNREADABLE: "cannot be read",
}


class TileError(InputError):
    """One file cannot be used. `reason` is a short code, `hint` says what the user can do, `path` is where."""

    def __init__(self, path: str | Path, reason: Reason, hint: str):
        self.path, self.reason, self.hint = str(path), Reason(reason), hint
        super().__init__(f"{self.path} {_WHAT[self.reason]} ({self.reason}). {hint}")

    @property
    def what(self) -> str:
        """What is wrong, in words that follow a name."""
        return _WHAT[self.reason]

    def __reduce__(self):  # raised inside workers: has to survive pickling
        return type(self), (self.path, self.reason, self.hint)
