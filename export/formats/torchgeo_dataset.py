"""A SAR corpus that knowlip exported, as a dataset of TorchGeo.

This file lies in the exported folder and needs no knowlip:

    import sys
    sys.path.insert(0, FOLDER)
    from sar_corpus import SarCorpus

    dataset = SarCorpus(FOLDER, split="train")
    sample = dataset[0]  # image, label, confidence, caption, tile_id
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pyarrow.parquet as pq
import rasterio
import torch
from matplotlib.figure import Figure
from torchgeo.datasets import NonGeoDataset  # pyright: ignore[reportMissingImports]  # of the user's environment

CO_POLARISED, CROSS_POLARISED = ("VV", "HH", "unknown"), ("VH", "HV")


class SarCorpus(NonGeoDataset):
    """Tiles with their clauses as labels, and their captions.

    A sample has:

    - image: float32 [2, H, W], co- and cross-polarised backscatter in dB, less the band's reference (column
      `reference_db`), by 10, clipped to [-3, 5]; pixels without a value are 0, and a single band fills both channels.
      With `normalise=False` in dB, NaN where there is no value, and a missing band all NaN.
    - label: int64 [clauses], the value of each of `clauses` as its place in `classes[clause]`.
    - confidence: float32 [clauses], the probability that it is right.
    - caption, tile_id: strings.

    Args:
        root: the exported folder.
        split: "train" or "held_out".
        clauses: the clauses to give as labels; None for all.
        normalise: see above.
        transforms: called with each sample; what it returns is given instead.

    Raises:
        FileNotFoundError: The folder holds no export for TorchGeo.
        ValueError: It has no such split or clause.
    """

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        clauses: Sequence[str] | None = None,
        normalise: bool = True,
        transforms: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        self.root, self.split, self.normalise, self.transforms = Path(root), split, normalise, transforms
        table = pq.read_table(self.root / "tiles.parquet")
        schema = json.loads((self.root / "annotation_schema.json").read_text(encoding="utf-8"))
        values = {clause["name"]: clause["values"] for clause in schema["clauses"]}
        self.clauses = list(values) if clauses is None else list(clauses)
        if unknown := [name for name in self.clauses if name not in values]:
            raise ValueError(f"There is no clause {', '.join(unknown)}; there are: {', '.join(values)}.")
        self.classes: dict[str, list[str]] = {name: values[name] for name in self.clauses}
        self._index = {name: {value: k for k, value in enumerate(words)} for name, words in self.classes.items()}
        splits = table["split"].to_pylist()
        if split not in splits:
            raise ValueError(f"There is no split {split!r}; there are: {', '.join(sorted(set(splits)))}.")
        self._table = table.take([k for k, each in enumerate(splits) if each == split])

    def __len__(self) -> int:
        return self._table.num_rows

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self._table.slice(index % len(self), 1).to_pylist()[0]
        sample: dict[str, Any] = {
            "image": torch.from_numpy(self._image(row)),
            "label": torch.tensor([self._index[name][row[name]] for name in self.clauses]),
            "confidence": torch.tensor([row[f"{name}_confidence"] for name in self.clauses], dtype=torch.float32),
            "caption": row["caption"],
            "tile_id": row["tile_id"],
        }
        return sample if self.transforms is None else self.transforms(sample)

    def plot(self, sample: dict[str, Any], suptitle: str | None = None) -> Figure:
        """Draw a sample: both bands, and its caption below."""
        image = np.asarray(sample["image"], dtype=np.float64)
        figure, axes = plt.subplots(1, 2, figsize=(8, 5))
        for axis, band, name in zip(axes, image, ("co-polarised", "cross-polarised"), strict=True):
            shown = band if np.isfinite(band).any() else np.zeros_like(band)
            low, high = np.nanpercentile(shown, [1, 99.5])
            axis.imshow(shown, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))
            axis.set_title(name)
            axis.axis("off")
        figure.supxlabel(sample["caption"], fontsize=7, wrap=True)
        if suptitle is not None:
            figure.suptitle(suptitle)
        return figure

    def _image(self, row: dict[str, Any]) -> np.ndarray:
        decibels = self._decibels(row)
        bands = [_find(row["polarisations"], names) for names in (CO_POLARISED, CROSS_POLARISED)]
        if self.normalise:  # as knowlip's models see a tile
            alone = next(band for band in bands if band is not None)
            bands = [alone if band is None else band for band in bands]
        image = np.full((2, *decibels.shape[1:]), np.nan, np.float32)
        for channel, band in enumerate(bands):
            if band is None:
                continue
            values = decibels[band]
            if self.normalise:
                values = np.nan_to_num(np.clip((values - row["reference_db"][band]) / 10, -3, 5), nan=0.0)
            image[channel] = values
        return image

    def _decibels(self, row: dict[str, Any]) -> np.ndarray:
        """Backscatter in dB, [bands, H, W], NaN where there is no value."""
        with rasterio.open(self.root / row["image"]) as src:
            stored, unit = src.read(), src.units[0]
            scale, offset = np.array(src.scales)[:, None, None], np.array(src.offsets)[:, None, None]
        values = np.where(stored == 0, np.nan, stored * scale + offset)
        if unit == "dB":
            return values.astype(np.float32)
        shift = -offset if (offset < 0).any() else 0  # 8-bit numbers begin at 0, and are read as log(DN + 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return (20 * np.log10(values + shift) - (row["calibration_db"] or 0.0)).astype(np.float32)


def _find(polarisations: Sequence[str], names: Sequence[str]) -> int | None:
    return next((k for k, name in enumerate(polarisations) if name in names), None)
