"""The model of a round as a Hugging Face folder: weights, card, and a STAC item of the MLM extension."""

from __future__ import annotations

import importlib.metadata
import math
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from safetensors import safe_open

from corpus.geotiff.model_input import REFERENCE_DB
from corpus.storage.disk import writing
from corpus.storage.yaml import dump_yaml
from export.base import ExportError, Progress
from export.footprint import footprint, union
from export.json_stream import write_json
from export.source import ExportSource

ITEM, CARD = "mlm_item.json", "README.md"
MLM: Final = "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"
RASTER: Final = "https://stac-extensions.github.io/raster/v1.1.0/schema.json"
"""Of its three ways to name a model's bands, MLM 1.4 and STAC 1.1 both accept this one."""
_PARTS: Final = ("encoder", "captioner")
_PROBE: Final = "probe"
"""Files of this name prove to a run that an engine loaded the right weights; nobody else needs them."""
_CODE: Final = "Apache-2.0"


class ModelExporter:
    """`encoder/`, `captioner/`, `README.md` (the card), `model.yaml`, `schema.json` and `mlm_item.json`.

    `captioner/decoder` is a Llama model of its own, with its tokenizer, that transformers loads as it is. Encoder and
    captioner are loaded with `model.checkpoint` of knowlip.
    """

    needs: Mapping[str, str] = MappingProxyType({})
    reads = "transformers.AutoModelForCausalLM.from_pretrained(OUT, subfolder='captioner/decoder')"

    def check(self, source: ExportSource) -> None:
        """See that the round has weights, that nothing in them runs, and that they are those that it recorded.

        Raises:
            ExportError: There are none, or they are others.
            WeightsError: They hold what might run.
        """
        from model.checkpoint import weights_sha256
        from model.weights_check import check_weights

        if not source.weights.is_dir():
            there = [path.name for path in sorted(source.weights.parent.glob("round-*"))]
            raise ExportError(
                f"The run {source.run_id} has no weights of round {source.round}: a run deletes those of old rounds "
                f"(retention.keep_rounds). There are: {', '.join(there) or 'none'}. Choose one of these with --round."
            )
        check_weights(source.weights)
        if source.weights_sha256 and (found := weights_sha256(source.weights)) != source.weights_sha256:
            raise ExportError(
                f"The weights in {source.weights} are not those that round {source.round} recorded ({found[:12]} "
                f"instead of {source.weights_sha256[:12]}). Restore them from a copy, or export another round."
            )

    def write(self, source: ExportSource, out: Path, progress: Progress) -> None:
        """Copy the weights, and write what is said of them."""
        with writing("the weights", out):
            shutil.copytree(source.weights, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns(f"{_PROBE}.*", ".*"))
        parameters = {part: _parameters(out / part) for part in _PARTS}
        (out / CARD).write_text(_card(source, parameters), encoding="utf-8")
        write_json(out / ITEM, _item(source, out, sum(parameters.values())))
        progress(len(source), len(source))


def _parameters(folder: Path) -> int:
    """Numbers in the safetensors files below a folder."""
    total = 0
    for path in folder.rglob("*.safetensors"):
        with safe_open(path, framework="numpy") as file:
            total += sum(math.prod(file.get_slice(name).get_shape()) for name in list(file.keys()))
    return total


def _measured(source: ExportSource) -> dict[str, float]:
    return {name: round(value, 6) for name, value in sorted(source.metrics.items()) if value is not None}


def _card(source: ExportSource, parameters: Mapping[str, int]) -> str:
    title = f"{source.name}: knowlip's SAR encoder and captioner"
    dataset = {"type": "sar", "name": f"{source.run_id}, version {source.version} of its annotations"}
    header = {
        "license": _CODE.lower(),
        "language": ["en"],
        "library_name": "knowlip",
        "pipeline_tag": "image-to-text",
        "tags": ["sar", "remote-sensing", "earth-observation", "image-captioning", "knowlip"],
        "model-index": [
            {
                "name": source.run_id,
                "results": [
                    {
                        "task": {"type": "image-to-text", "name": "annotation of SAR tiles"},
                        "dataset": dataset,
                        "metrics": [{"type": name, "name": name, "value": value} for name, value in measured.items()],
                    }
                ],
            }
        ]
        if (measured := _measured(source))
        else [],
    }
    if not header["model-index"]:
        del header["model-index"]
    rows = "\n".join(f"| {name} | {value:.4f} |" for name, value in measured.items()) or "| none | |"
    clauses = "\n".join(
        f"| {clause.name} | {clause.level} | {', '.join(clause.values)} |" for clause in source.schema.clauses
    )
    shares = ", ".join(f"{count:,} {split}" for split, count in source.splits.items())
    size = source.image_size_px
    return f"""---
{dump_yaml(header)}---

# {title}

A vision-language model for synthetic aperture radar, trained by the closed loop of knowlip {source.knowlip_version} in
the run `{source.run_id}`, round {source.round}. SHA-256 of its tensors: `{source.weights_sha256 or "not recorded"}`.

- `encoder` ({parameters["encoder"]:,} parameters): image and text towers, which score every value of every clause.
- `captioner` ({parameters["captioner"]:,} parameters): an image tower and a Llama decoder, which write the annotation.

## Use

The decoder alone is a model of transformers, with its tokenizer:

    from transformers import AutoModelForCausalLM
    decoder = AutoModelForCausalLM.from_pretrained("FOLDER", subfolder="captioner/decoder")

Encoder and captioner, with knowlip installed:

    from model.checkpoint import load_captioner, load_encoder, load_tokenizer
    encoder, captioner, tokenizer = load_encoder("FOLDER"), load_captioner("FOLDER"), load_tokenizer("FOLDER")

A run can start from them: `knowlip run CONFIG --set start_weights=FOLDER`.

## Input

float [batch, 2, {size}, {size}]: co- and cross-polarised sigma nought, (dB - reference) / 10 dB clipped to [-3, 5]; 0
where there is no value. The reference is {REFERENCE_DB["co"]:g} dB of the co- and {REFERENCE_DB["cross"]:g} dB of the
cross-polarised band or, where the level of a product is not known, the median of its scenes. A single polarisation
fills both channels. {_trained_at(source)}
`corpus.geotiff.read.model_images` makes it of a GeoTIFF.

## Output (annotation schema {source.schema.name})

| clause | level | values |
|---|---|---|
{clauses}

## Training data

{shares} tiles of {"simulated" if source.simulated else "real"} scenes; platforms: {", ".join(source.platforms)}. The
annotations began as they were found, and each round replaced those that the evidence was against.

## Measured after round {source.round}

| measure | value |
|---|---|
{rows}

## Limits

The model says one value for each clause, also where an image shows none of it. It knows the sensors, scales and
landscapes of its training tiles. Its probabilities were fitted on these: `known_tiles.safetensors` tells a tile that is
unlike them (`model.known_tiles.KnownTiles`).
"""


def _trained_at(source: ExportSource) -> str:
    """At which ground sample distances the model was trained, as a sentence; '' where its weights do not say."""
    from model.known_tiles import KnownTiles

    known = KnownTiles.load(source.weights)
    if known is None:
        return ""
    return f"Pixels of the training tiles: {', '.join(f'{gsd:g} m' for gsd in known.input.sampling.gsd_m)}."


def _item(source: ExportSource, out: Path, parameters: int) -> dict[str, Any]:
    from corpus.tiles import Tile

    boxes: list[tuple[float, float, float, float]] = []
    for batch in source.tiles.to_batches(max_chunksize=1024):
        boxes += [footprint(Tile.model_validate(row)).bbox for row in batch.to_pylist()]
        west, south, east, north = union(boxes)
        boxes = [(west, south, east, north)]
    west, south, east, north = boxes[0]
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    names = ("co-polarised", "cross-polarised")
    size = source.image_size_px
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [MLM, RASTER],
        "id": f"{source.run_id}-round-{source.round}-model",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, south, east, north],
        "properties": {
            "datetime": source.committed.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "title": f"{source.name}: SAR encoder and captioner",
            "description": f"Trained by knowlip {source.knowlip_version} in the run {source.run_id}.",
            "license": _CODE,
            "mlm:name": re.sub(r"[^a-zA-Z0-9_.\-\s]", "-", f"knowlip {source.name} round {source.round}"),
            "mlm:architecture": "vision transformer encoder and Llama captioner",
            "mlm:tasks": ["image-captioning", "scene-classification"],
            "mlm:framework": "PyTorch",
            "mlm:framework_version": importlib.metadata.version("torch").split("+")[0],
            "mlm:total_parameters": parameters,
            "mlm:pretrained": True,
            "mlm:pretrained_source": f"the SAR tiles of the run {source.run_id}",
            "mlm:input": [
                {
                    "name": "SAR tile",
                    "bands": list(names),
                    "input": {
                        "shape": [-1, 2, size, size],
                        "dim_order": ["batch", "channel", "height", "width"],
                        "data_type": "float32",
                    },
                    "description": f"(sigma nought in dB less {REFERENCE_DB['co']:g}, cross-polarised "
                    f"{REFERENCE_DB['cross']:g}) / 10, clipped to [-3, 5]; 0: no value",
                    "resize_type": None,
                }
            ],
            "mlm:output": [
                {
                    "name": clause.name,
                    "tasks": ["scene-classification"],
                    "result": {
                        "shape": [-1, len(clause.values)],
                        "dim_order": ["batch", "class"],
                        "data_type": "float32",
                    },
                    "description": f"probability of each value of the clause {clause.name}",
                    "classification:classes": [
                        {"value": number, "name": re.sub(r"[^0-9A-Za-z_-]", "-", value), "description": value}
                        for number, value in enumerate(clause.values)
                    ],
                }
                for clause in source.schema.clauses
            ],
            "knowlip:weights_sha256": source.weights_sha256,
        },
        "links": [],
        "assets": {
            **{
                path.relative_to(out).as_posix().replace("/", "-").removesuffix(".safetensors"): {
                    "href": f"./{path.relative_to(out).as_posix()}",
                    "type": "application/octet-stream",
                    "title": f"weights: {path.relative_to(out).parent.as_posix()}",
                    "roles": ["mlm:model", "mlm:weights"],
                    "raster:bands": [{"name": name, "data_type": "float32"} for name in names],
                    "mlm:artifact_type": "safetensors.torch.save_file",
                }
                for path in sorted(path for part in _PARTS for path in (out / part).rglob("*.safetensors"))
            },
            "card": {"href": f"./{CARD}", "type": "text/markdown", "title": "model card", "roles": ["metadata"]},
        },
    }
