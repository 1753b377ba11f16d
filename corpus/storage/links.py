"""Links that lead out of a folder which may have come from elsewhere."""

from __future__ import annotations

import os
from pathlib import Path


def link_out_of(root: str | Path) -> Path | None:
    """Return a path below `root` that is a link out of it, None where there is none.

    The folder may be in use: paths that vanish meanwhile are skipped.
    """
    resolved = Path(root).resolve()
    for folder, folders, files in os.walk(resolved):
        for path in (Path(folder, name) for name in (*folders, *files)):
            if path.is_symlink() and not path.resolve().is_relative_to(resolved):
                return path
    return None
