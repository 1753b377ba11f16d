"""What a weights directory may hold: tensors and plain settings, nothing that runs and nothing from elsewhere."""

import json
from pathlib import Path

from corpus.storage.errors import InputError
from corpus.storage.links import link_out_of

_NAMES = {
    "config.json",
    "generation_config.json",
    "model.safetensors.index.json",
    "model.yaml",
    "pretrained.json",
    "probe.json",
    "schema.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    # What an export adds: text, and plain descriptions that no library loads.
    "README.md",
    "LICENSE.md",
    "annotation_schema.json",
    "knowlip_export.json",
    "mlm_item.json",
}
# Settings by which a file makes a library import code or read other files.
_KEYS = {
    "auto_map",
    "trust_remote_code",
    "custom_pipelines",
    "custom_generate",
    "transformers_weights",
    "base_model_name_or_path",
}
_ATTENTION = {"attn_implementation", "_attn_implementation", "_attn_implementation_internal", "experts_implementation"}


class WeightsError(InputError):
    """A weights directory that is not read; the message says which file, why and what to do."""


def check_weights(directory: str | Path) -> None:
    """Refuse a weights directory from which code could be run or other files be read.

    Args:
        directory: The directory.

    Raises:
        WeightsError: A file is neither safetensors nor one of our settings (as pickles such as *.pt and *.bin), a link
            leads out of the directory, a setting names code, or an index names other folders.
    """
    root = Path(directory).resolve()
    if (link := link_out_of(root)) is not None:
        raise _refused(root, f"{link.relative_to(root)} is a link that leads out of it")
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        if path.is_dir():
            continue
        if path.suffix != ".safetensors" and path.name not in _NAMES:
            raise _refused(root, f"{name} is neither safetensors nor a known settings file, and might hold code")
        if path.suffix == ".json" and path.name not in ("probe.json", "schema.json", "tokenizer.json"):
            _check_settings(root, name)


def _check_settings(root: Path, name: Path) -> None:
    try:
        content = json.loads((root / name).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise _refused(root, f"{name} is not JSON ({error})") from error
    for key, value in _pairs(content):
        if key in _KEYS or (key in _ATTENTION and "/" in str(value)):
            raise _refused(root, f"{name} asks for code or weights from elsewhere ({key})")
    if name.name.endswith(".index.json"):
        files = content.get("weight_map", {}).values() if isinstance(content, dict) else [content]
        for file in files:
            if not (isinstance(file, str) and file == Path(file).name and file.endswith(".safetensors")):
                raise _refused(root, f"{name} names {str(file)[:80]!r}, which is no safetensors file beside it")


def _pairs(content):
    """Every (key, value) at any depth."""
    if isinstance(content, dict):
        yield from content.items()
    for inner in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        yield from _pairs(inner)


def _refused(root: Path, why: str) -> WeightsError:
    return WeightsError(
        f"The weights in {root} are not read: {why}. Use a weights directory as a run writes it "
        "(RUN_DIR/weights/round-NNNN), or remove that file if you know what it is."
    )
