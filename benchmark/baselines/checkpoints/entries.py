"""Published checkpoints as data: architecture, preprocessing, where the weights come from, which file is expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from benchmark.baselines.checkpoints.checkpoint import Checkpoint
from benchmark.suite.base import MethodInputs, MethodMissing

_CLIP_MEAN, _CLIP_DEVIATION = (0.4815, 0.4578, 0.4082), (0.2686, 0.2613, 0.2758)
_HUB = "https://huggingface.co"


@dataclass(frozen=True)
class PublishedCheckpoint:
    """The method of an entry.

    Attributes:
        name: of the entry.
        entry: what it is.
    """

    name: str
    entry: Checkpoint

    @property
    def about(self) -> str:
        """One sentence."""
        return self.entry.about

    def open(self, inputs: MethodInputs) -> Any:
        """Read its weights.

        Raises:
            MethodMissing: they are not there, or nothing reads their architecture.
            CheckpointError: the file holds something else.
        """
        entry = self.entry
        place = inputs.checkpoints.get(self.name, inputs.checkpoints_dir / self.name)
        path = place / entry.file if entry.file and (place.is_dir() or not place.suffix) else place
        if not (path.is_file() or (path.exists() and not entry.file)):
            raise MethodMissing(f"weights not found at {path}, get them from {entry.source}")
        if not entry.reader:
            raise MethodMissing(
                f"weights found at {path}, but nothing here reads {entry.needs} yet; features of a Hugging Face export "
                "of the encoder can be judged with --encoder"
            )
        from benchmark.baselines.checkpoints.readers import READERS

        return READERS[entry.reader](path, entry)


def _row(about: str, source: str, needs: str) -> Checkpoint:
    """An entry whose architecture nothing reads yet: its row keeps its place."""
    return Checkpoint(f"{about}; its architecture is not read yet", "", source, needs=needs)


def _clip(about: str, file: str, source: str, activation: str) -> Checkpoint:
    return Checkpoint(
        *(about, file, source, "open_clip"), activation=activation, mean=_CLIP_MEAN, deviation=_CLIP_DEVIATION
    )


CHECKPOINTS: Final[Mapping[str, Checkpoint]] = MappingProxyType(
    {
        "remote_clip": _clip(
            "RemoteCLIP ViT-B-32: CLIP of optical remote sensing",
            *("RemoteCLIP-ViT-B-32.pt", f"{_HUB}/chendelong/RemoteCLIP", "gelu"),
        ),
        "geo_rsclip": _clip(
            "GeoRSCLIP ViT-B-32: CLIP of RS5M",
            *("RS5M_ViT-B-32.pt", f"{_HUB}/Zilun/GeoRSCLIP", "quick_gelu"),
        ),
        "sky_clip": _clip(
            "SkyCLIP ViT-B-32: CLIP of SkyScript",
            *("epoch_20.pt", "https://github.com/wangzhecheng/SkyScript (SkyCLIP_ViT_B32_top50pct)", "gelu"),
        ),
        "prithvi": Checkpoint(
            "Prithvi-EO-2.0-300M: masked autoencoder of optical series; six bands filled from two polarisations",
            *("Prithvi_EO_V2_300M.pt", f"{_HUB}/ibm-nasa-geospatial/Prithvi-EO-2.0-300M", "vit"),
            heads=16,
            frames=4,
        ),
        "dofa": Checkpoint(
            "DOFA base: one masked autoencoder of several sensors, Sentinel-1 among them",
            *("DOFA_ViT_base_e100.pth", f"{_HUB}/XShadow/DOFA", "dofa"),
            wavelengths_um=(3.75, 3.75),
        ),
        "saratr_x": _row(
            "SARATR-X: masked gradients on SAR targets",
            *(f"{_HUB}/waterdisappear/SARATR-X", "HiViT"),
        ),
        "sarmae": _row(
            "SARMAE: masked autoencoder of SAR with speckle",
            *("https://github.com/MiliLab/SARMAE", "its architecture"),
        ),
        "terramind": _row(
            "TerraMind 1.0 base: any-to-any model of several sensors",
            *(f"{_HUB}/ibm-esa-geospatial/TerraMind-1.0-base", "its modality embeddings"),
        ),
        "copernicus_fm": _row(
            "Copernicus-FM base: one encoder of all Sentinels",
            *(f"{_HUB}/wangyi111/Copernicus-FM", "its hypernetworks"),
        ),
    }
)
"""Name -> entry."""
