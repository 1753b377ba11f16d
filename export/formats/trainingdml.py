"""OGC TrainingDML-AI 1.0 in JSON: the data set with its labels, and a changeset for every round of the loop."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from export.base import Progress
from export.footprint import footprint
from export.json_stream import Lines, long_json
from export.pixels import encode, write_image
from export.sample import Sample
from export.source import CommittedRound, ExportSource
from export.write import LICENCE_FILE, main_licence

DATASET, CHANGESETS = "dataset.json", "changesets"
_TRAINING_TYPE: Final = {"train": "training", "held_out": "test"}


class TrainingDmlExporter:
    """`dataset.json` (AI_EOTrainingDataset), `changesets/round-0001.json` (AI_TDChangeset) and so on, and images.

    A changeset names the tiles that a round changed, as they are after it; `changes`, which the standard does not have,
    says from which value to which, by whom and how sure. The data set's own `changesets` are the same ones.
    """

    needs: Mapping[str, str] = MappingProxyType({})
    reads = f"json.load(open('OUT/{DATASET}')), valid by the schema ai_eoTrainingDataset.json of OGC 23-008r3"

    def check(self, source: ExportSource) -> None:
        """Every corpus can be written."""

    def write(self, source: ExportSource, out: Path, progress: Progress) -> None:
        """Write tile by tile; then compare each round with the one before, tile by tile as well."""
        (out / "images").mkdir()
        (out / CHANGESETS).mkdir()
        total = len(source)
        with Lines(out) as lines:
            for done, sample in enumerate(source.samples(), start=1):
                source.check_pixels(sample)
                write_image(sample, encode(sample.file), out / _image(sample))
                lines.add("data", _training_data(source, sample))
                progress(done, total)
            changesets = []
            for before, after in pairwise(source.rounds):
                key = f"{_file_name(after)}/modify"
                count = 0
                for was, now in source.changed(before.version, after.version):
                    lines.add(key, {**_training_data(source, now), "changes": _changes(was, now)})
                    count += 1
                changesets.append((key, _changeset(source, after, count)))
                with long_json(out / CHANGESETS / f"{_file_name(after)}.json") as file:
                    file.entries(changesets[-1][1])
                    lines.copy(key, file)
            with long_json(out / DATASET) as file:
                file.entries(_dataset(source))
                file.begin("changesets")
                for key, content in changesets:
                    lines.add_object(key, content, file)
                lines.copy("data", file)


def _image(sample: Sample) -> str:
    return f"images/{sample.tile.tile_id}.tif"


def _dataset(source: ExportSource) -> dict[str, Any]:
    licence, schema, identity = main_licence(source.licences()), source.schema, _identity(source)
    sizes = {f"{width}x{height}" for width, height in _sides(source)}
    tasks = [{"type": "AI_EOTask", "id": f"{identity}-scene", "taskType": "Scene Classification"}]
    if schema.of_kind("location"):
        tasks.append({"type": "AI_EOTask", "id": f"{identity}-object", "taskType": "Object Detection"})
    return {
        "type": "AI_EOTrainingDataset",
        "id": identity,
        "name": f"{source.name}: SAR tiles with repaired annotations",
        "description": (
            f"{len(source)} SAR tiles of the run {source.run_id} of knowlip {source.knowlip_version}, round "
            f"{source.round}. A label's class is CLAUSE: VALUE, by the annotation schema {schema.name}."
        ),
        "license": f"{licence.spdx}: {licence.title}. See {LICENCE_FILE}.",
        "version": str(source.version),
        "amountOfTrainingData": len(source),
        "createdTime": _time(source.rounds[0].committed),
        "updatedTime": _time(source.committed),
        "providers": ["knowlip"],
        "keywords": ["SAR", "image-text", "annotations"],
        "classificationScheme": f"{schema.name} ({schema.digest[:12]}), see annotation_schema.json",
        "classes": [{"key": name, "value": list(values)} for name, values in schema.vocabulary.items()],
        "numberOfClasses": sum(map(len, schema.vocabulary.values())),
        "statisticsInfo": [{"key": split, "value": count} for split, count in source.splits.items()],
        "bands": [{"name": [{"code": name}], "units": "dB or DN, see the image"} for name in _polarisations(source)],
        "imageSize": ", ".join(sorted(sizes)),
        "tasks": [{**task, "datasetId": identity} for task in tasks],
        "labeling": [_labeling(source)],
    }


def _labeling(source: ExportSource) -> dict[str, Any]:
    tool = f"knowlip {source.knowlip_version}"
    return {
        "type": "AI_Labeling",
        "id": f"{source.run_id}-labeling",
        "scope": {"level": "dataset"},
        "labelers": [{"type": "AI_Labeler", "id": "knowlip", "name": tool}],
        "procedure": {
            "type": "AI_LabelingProcedure",
            "id": f"{source.run_id}-loop",
            "methods": ["automatic"],
            "tools": [tool],
        },
    }


def _training_data(source: ExportSource, sample: Sample) -> dict[str, Any]:
    tile, labels = sample.tile, _labels(source, sample)
    found: dict[str, Any] = {
        "type": "AI_EOTrainingData",
        "id": tile.tile_id,
        "datasetId": _identity(source),
        "dataURL": [_image(sample)],
        "extent": [round(each, 9) for each in footprint(tile).bbox],
        "trainingType": _TRAINING_TYPE[tile.split],
        "numberOfLabels": len(labels),
        "labels": labels,
        "caption": sample.caption,
    }
    if tile.acquired:
        found["dataTime"] = [_time(datetime.fromisoformat(tile.acquired))]
    return found


def _labels(source: ExportSource, sample: Sample) -> list[dict[str, Any]]:
    """A scene label for each clause, and an object label for each place that one names, in pixels of the tile."""
    scene: list[dict[str, Any]] = [
        {
            "type": "AI_SceneLabel",
            "class": f"{each.clause}: {each.value}",
            "confidence": round(each.confidence, 6),
            "source": each.source,
        }
        for each in sample.annotations
    ]
    for box in sample.boxes(source.schema):
        left, top, right, bottom = box.x, box.y, box.x + box.width, box.y + box.height
        ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
        scene.append(
            {
                "type": "AI_ObjectLabel",
                "class": box.category,
                "confidence": box.confidence,
                "bboxType": "Horizontal BBox",
                "object": {
                    "type": "Feature",
                    "properties": dict(box.attributes),
                    "geometry": {"type": "Polygon", "coordinates": [ring]},
                },
            }
        )
    return scene


def _changeset(source: ExportSource, after: CommittedRound, count: int) -> dict[str, Any]:
    """A changeset without its list."""
    return {
        "type": "AI_TDChangeset",
        "id": f"{source.run_id}-{_file_name(after)}",
        "datasetId": _identity(source),
        "version": str(after.version),
        "createdTime": _time(after.committed),
        "changeCount": count,
    }


def _file_name(after: CommittedRound) -> str:
    """round-0001; with its version where it was committed after its round, such as decisions of people."""
    return f"round-{after.round:04d}" + ("" if after.accepted is not None else f"-version-{after.version}")


def _changes(was: Sample, now: Sample) -> list[dict[str, Any]]:
    old = was.values
    return [
        {
            "clause": each.clause,
            "from": old.get(each.clause),
            "to": each.value,
            "source": each.source,
            "confidence": round(each.confidence, 6),
        }
        for each in now.annotations
        if old.get(each.clause) != each.value
    ]


def _polarisations(source: ExportSource) -> list[str]:
    return sorted({name for names in source.tiles["polarisations"].to_pylist() for name in names})


def _sides(source: ExportSource) -> set[tuple[int, int]]:
    return set(zip(source.tiles["width"].to_pylist(), source.tiles["height"].to_pylist(), strict=True))


def _identity(source: ExportSource) -> str:
    return f"{source.run_id}-round-{source.round}"


def _time(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
