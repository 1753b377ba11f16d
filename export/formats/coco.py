"""COCO: images, captions, and boxes where annotations say where something is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from export.base import Progress
from export.json_stream import Lines, long_json
from export.licence import Licence
from export.pixels import encode, write_image
from export.sample import Box, Sample, box_categories
from export.source import ExportSource
from hcot_llm.schema.annotation_schema import AnnotationSchema

FOLDERS = {"train": "train", "held_out": "test"}


class CocoExporter:
    """`annotations/captions_SPLIT.json` and, for a schema with places, `annotations/instances_SPLIT.json`.

    Ids of images count from 1 over both splits, so that the files can be joined.
    """

    needs: Mapping[str, str] = MappingProxyType({})
    reads = "pycocotools.coco.COCO(OUT/annotations/captions_train.json)"

    def check(self, source: ExportSource) -> None:
        """Every corpus can be written."""

    def write(self, source: ExportSource, out: Path, progress: Progress) -> None:
        """Write images, and collect the lists on the way; then put the files of annotations together."""
        (out / "annotations").mkdir()
        for split in source.splits:
            (out / FOLDERS[split]).mkdir()
        total = len(source)
        licences = {licence: number for number, licence in enumerate(source.licences(), start=1)}
        categories = {name: number for number, name in enumerate(box_categories(source.schema), start=1)}
        with Lines(out) as lines:
            for number, sample in enumerate(source.samples(), start=1):
                source.check_pixels(sample)
                write_image(sample, encode(sample.file), out / _file(sample))
                split = sample.tile.split
                lines.add(f"{split}/images", _image(number, sample, licences))
                caption = {"id": number, "image_id": number, "caption": sample.caption}
                lines.add(f"{split}/captions/annotations", caption)
                for instance in _instances(number, sample, categories, source.schema):
                    lines.add(f"{split}/instances/annotations", instance)
                progress(number, total)
            for split in source.splits:
                for kind in ("captions", "instances") if categories else ("captions",):
                    with long_json(out / "annotations" / f"{kind}_{FOLDERS[split]}.json") as file:
                        file.entries(_head(source, licences))
                        if kind == "instances":
                            file.entries({"categories": [_category(*each) for each in categories.items()]})
                        lines.copy(f"{split}/images", file)
                        lines.copy(f"{split}/{kind}/annotations", file)


def _file(sample: Sample) -> str:
    return f"{FOLDERS[sample.tile.split]}/{sample.tile.tile_id}.tif"


def _category(name: str, number: int) -> dict[str, Any]:
    return {"id": number, "name": name, "supercategory": "target"}


def _head(source: ExportSource, licences: Mapping[Licence, int]) -> dict[str, Any]:
    return {
        "info": {
            "description": f"{source.name}: SAR tiles with repaired annotations, round {source.round}",
            "version": str(source.version),
            "year": source.committed.year,
            "contributor": f"knowlip {source.knowlip_version}",
            "date_created": source.committed.strftime("%Y/%m/%d"),
            "run_id": source.run_id,
            "schema_sha256": source.schema.digest,
        },
        "licenses": [
            {"id": number, "name": f"{licence.spdx}: {licence.title}", "url": licence.url}
            for licence, number in licences.items()
        ],
    }


def _image(number: int, sample: Sample, licences: Mapping[Licence, int]) -> dict[str, Any]:
    tile = sample.tile
    entry: dict[str, Any] = {
        "id": number,
        "file_name": Path(_file(sample)).name,
        "width": tile.width,
        "height": tile.height,
        "license": licences[sample.licence],
        "tile_id": tile.tile_id,
        "polarisations": list(tile.polarisations),
        "platform": tile.platform,
        "gsd_m": tile.gsd_m,
        "lon": tile.lon,
        "lat": tile.lat,
        "clauses": sample.values,
        "confidence": sample.confidence,
    }
    if tile.acquired:
        entry["date_captured"] = tile.acquired.replace("T", " ")
    return entry


def _instances(
    image: int, sample: Sample, categories: Mapping[str, int], schema: AnnotationSchema
) -> Iterator[dict[str, Any]]:
    """One box for each place that is named. Ids are by image, so that they do not depend on the split."""
    per_image = max(1, len(schema.of_kind("location")))
    for index, box in enumerate(sample.boxes(schema)):
        yield _instance((image - 1) * per_image + index + 1, image, sample, box, categories, schema)


def _instance(
    identity: int, image: int, sample: Sample, box: Box, categories: Mapping[str, int], schema: AnnotationSchema
) -> dict[str, Any]:
    # It holds a group, unless its count is 1.
    counts = [box.attributes[name] for name in schema.of_kind("count") if name in box.attributes]
    crowd = bool(counts) and counts[0] != "1"
    left, top = round(box.x), round(box.y)
    right, bottom = round(box.x + box.width), round(box.y + box.height)
    corners = [left, top, right, top, right, bottom, left, bottom]
    return {
        "id": identity,
        "image_id": image,
        "category_id": categories[box.category],
        "bbox": [left, top, right - left, bottom - top],
        "area": (right - left) * (bottom - top),
        "iscrowd": int(crowd),
        "segmentation": _run_lengths(sample, left, top, right, bottom) if crowd else [corners],
        "confidence": box.confidence,
        "attributes": box.attributes,
    }


def _run_lengths(sample: Sample, left: int, top: int, right: int, bottom: int) -> dict[str, Any]:
    """The box as COCO's run lengths, column by column, which a group needs."""
    height, width = sample.tile.height, sample.tile.width
    counts = [left * height + top]
    for column in range(left, right):
        counts.append(bottom - top)
        last = column == right - 1
        counts.append((height - bottom) + (width - right) * height if last else height - (bottom - top))
    return {"size": [height, width], "counts": counts}
