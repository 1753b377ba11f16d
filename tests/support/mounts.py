"""Small file systems in memory, which need root; macOS and most containers without it refuse."""

import subprocess
from pathlib import Path


def mount(folder: Path, size_bytes: int) -> str | None:
    """Mount an empty file system of `size_bytes`; returns why that is not possible, or None."""
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)], capture_output=True, text=True
        )
    except FileNotFoundError as error:
        return f"mount: {error}"
    return None if done.returncode == 0 else f"mount: {done.stderr.strip()}"


def remount_read_only(folder: Path) -> str | None:
    """Let nothing more be written to a file system that `mount` made; returns why that is not possible, or None."""
    done = subprocess.run(["mount", "-o", "remount,ro", str(folder)], capture_output=True, text=True)
    return None if done.returncode == 0 else f"mount: {done.stderr.strip()}"


def unmount(folder: Path) -> None:
    """Take it away again, whoever still looks at it."""
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
