"""DeepSpeed's small communication op, compiled once a machine in a way that outlives a kill in the middle of it.

PyTorch guards a compilation by a file, which the compiling process removes in the end. A process that is killed leaves
the file, and every later process waits for it without end. A lock of the operating system goes with its holder: whoever
holds it knows that such a file is a dead process's, and removes it.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast


def compile_communication_op() -> None:
    """Have DeepSpeed's op ready before DeepSpeed asks for it; one process of the machine compiles, the others wait."""
    from deepspeed.accelerator import get_accelerator
    from torch.utils.cpp_extension import _get_build_directory

    builder: Any = cast(Any, get_accelerator()).create_op_builder("ShareMemCommBuilder")
    if builder is None or not builder.is_compatible(verbose=False):
        return
    with alone_in(Path(_get_build_directory(builder.name, verbose=False))):
        builder.load(verbose=False)


@contextmanager
def alone_in(build_dir: Path) -> Iterator[None]:
    """Hold the build directory against other processes of ours, and free it of what a killed one left."""
    build_dir.mkdir(parents=True, exist_ok=True)
    with open(build_dir.with_name(f"{build_dir.name}.knowlip"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (build_dir / "lock").unlink(missing_ok=True)
        yield
