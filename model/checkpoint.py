"""Checkpoints: safetensors and JSON only, and a hash of the weights' content."""

import hashlib
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import PreTrainedTokenizerFast

from model.captioner import DECODER, SarCaptioner
from model.encoder import SarEncoder
from model.weights_check import check_weights

ENCODER, CAPTIONER = "encoder", "captioner"


def save_model(
    directory: str | Path, encoder: SarEncoder, captioner: SarCaptioner, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Writes directory/encoder and directory/captioner (with captioner/decoder for any Llama engine)."""
    folder = Path(directory)
    encoder.save_pretrained(folder / ENCODER)
    tokenizer.save_pretrained(folder / ENCODER)
    captioner.save_pretrained(folder / CAPTIONER, tokenizer)


def load_encoder(directory: str | Path) -> SarEncoder:
    """The encoder of `save_model`, in evaluation mode.

    Raises:
        FileNotFoundError: there is none.
        WeightsError: the folder holds what `check_weights` refuses.
    """
    return SarEncoder.from_pretrained(
        _existing(Path(directory) / ENCODER), use_safetensors=True, local_files_only=True
    ).eval()


def load_captioner(directory: str | Path) -> SarCaptioner:
    """The captioner of `save_model`, in evaluation mode. Errors as `load_encoder`."""
    return SarCaptioner.from_pretrained(_existing(Path(directory) / CAPTIONER))


def load_tokenizer(directory: str | Path) -> PreTrainedTokenizerFast:
    """The tokenizer of `save_model`. Errors as `load_encoder`."""
    return PreTrainedTokenizerFast.from_pretrained(_existing(Path(directory) / CAPTIONER / DECODER))


def weights_sha256(directory: str | Path) -> str:
    """SHA-256 of the tensors of encoder and captioner, hexadecimal: their folder, name, type, shape and bytes, sorted.

    The hash does not depend on the files' layout (order, metadata, sharding).

    Raises:
        FileNotFoundError: there are no tensors.
    """
    folder = Path(directory)
    tensors: list[tuple[str, str, Path]] = []
    # Only the models: a probe that lies beside them is no weight.
    for path in [*(folder / ENCODER).rglob("*.safetensors"), *(folder / CAPTIONER).rglob("*.safetensors")]:
        with safe_open(path, framework="np") as file:
            tensors += [(path.parent.relative_to(folder).as_posix(), name, path) for name in list(file.keys())]
    if not tensors:
        raise FileNotFoundError(f"No safetensors file lies below {folder}. Save a model there first.")
    digest = hashlib.sha256()
    for parent, name, path in sorted(tensors):
        with safe_open(path, framework="pt") as file:
            tensor = file.get_tensor(name).contiguous()
        digest.update(f"{parent}\x1f{name}\x1f{tensor.dtype}\x1f{tuple(tensor.shape)}\x1e".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _existing(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} holds no model (no config.json). Point to a folder written by save_model.")
    check_weights(folder)
    return folder
