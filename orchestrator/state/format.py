"""The version of the files in a run directory, and the one refusal of directories that another version wrote."""

from pathlib import Path
from typing import Any

import yaml

from corpus.storage.errors import InputError
from corpus.storage.yaml import load_yaml

FORMAT = 5
"""Of the files that this version writes. It grows when a file, a key or a value gets another name or meaning."""
FORMAT_KEY = "format"
"""Of config.yaml, which every run directory has; a directory without it is of format 1."""
_VERSIONS = {1: "0.1.0", 2: "0.2.0 before its release", 3: "0.2.0", 4: "0.3.0 before its release"}
"""The last version of knowlip that reads each older format."""


class FormatError(InputError):
    """A run directory that another version of knowlip wrote; the message names the version to use."""


def check_format(run_dir: Path, config: Path) -> dict[str, Any]:
    """See that this version reads what a run directory holds, and return the content of its configuration as it is.

    Args:
        run_dir: The run directory, for the message.
        config: Its config.yaml. Where it is no mapping, {} is returned, and whoever reads the file says so.

    Raises:
        FormatError: Another version of knowlip wrote the directory.
    """
    try:
        content = load_yaml(config.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return {}
    if not isinstance(content, dict):
        return {}
    found = content.get(FORMAT_KEY, 1)
    if found == FORMAT:
        return content
    if isinstance(found, int) and found in _VERSIONS:
        version = _VERSIONS[found]
        raise FormatError(
            f"{run_dir} holds a run of knowlip {version}, whose files have other names and keys than those of this "
            f"version. Nothing was changed. Resume it or report on it with knowlip {version}, or start a new run."
        )
    raise FormatError(
        f"{run_dir} has files of format {found!r}, and this version of knowlip reads format {FORMAT}. Nothing was "
        "changed. Use the newer version of knowlip that wrote them."
    )
