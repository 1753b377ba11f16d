"""Published checkpoints as data: architecture, preprocessing, where the weights come from, which file is expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from benchmark.baselines.checkpoints.checkpoint import Checkpoint
from benchmark.suite.base import MethodInputs, MethodMissing

_CLIP_MEAN, _CLIP_DEVIATION = (0.4815, 0.4578, 0.4082), (0.2686, 0.2613, 0.2758)
_IMAGENET_MEAN, _IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")
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
            MethodMissing: they are not there.
            CheckpointError: the file holds something else.
        """
        path = self._file(inputs)
        from benchmark.baselines.checkpoints.readers import READERS

        return READERS[self.entry.reader](path, self.entry)

    def _file(self, inputs: MethodInputs) -> Path:
        """Where its weights lie."""
        entry = self.entry
        place = inputs.checkpoints.get(self.name, inputs.checkpoints_dir / self.name)
        missing = f"get them from {entry.source}"
        if entry.takes_folder:
            if not place.is_dir():
                raise MethodMissing(f"weights not found at {place}, {missing}")
            return place
        if place.is_file():
            return place
        if entry.file:
            path = place / entry.file if place.is_dir() or not place.suffix else place
            if not path.is_file():
                raise MethodMissing(f"weights not found at {path}, {missing}")
            return path
        found = sorted(path for path in place.glob("*") if path.suffix in _SUFFIXES)
        if not found:
            raise MethodMissing(f"weights not found at {place}, {missing}")
        if len(found) > 1:
            raise MethodMissing(
                f"{place} has {len(found)} files of weights; keep one there, or name one with "
                f"benchmark.checkpoints.{self.name}"
            )
        return found[0]


def _clip(about: str, file: str, source: str, activation: str) -> Checkpoint:
    return Checkpoint(
        *(about, file, source, "open_clip"), activation=activation, mean=_CLIP_MEAN, deviation=_CLIP_DEVIATION
    )


def _clip_vision(about: str, file: str, source: str, reader: str) -> Checkpoint:
    return Checkpoint(
        *(about, file, source, reader), activation="quick_gelu", mean=_CLIP_MEAN, deviation=_CLIP_DEVIATION
    )


def _llava(about: str, source: str, side: int) -> Checkpoint:
    return Checkpoint(
        *(about, "", source, "llava"),
        mean=_CLIP_MEAN,
        deviation=_CLIP_DEVIATION,
        side=side,
        takes_folder=True,
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
        "saratr_x": Checkpoint(
            "SARATR-X v2 base: masked structure of SAR targets at several scales",
            *("checkpoint-1200.pth", "https://github.com/waterdisappear/SARATR-X-v2 (base/jiaquan_simple)", "itpn"),
            mean=(0.2109,) * 3,
            deviation=(0.2178,) * 3,
        ),
        "sarmae": Checkpoint(
            "SARMAE ViT-B: masked autoencoder of SAR with added speckle, aligned with optical images",
            *("", f"{_HUB}/Wenquandan777/SARMAE", "vit"),
            mean=_IMAGENET_MEAN,
            deviation=_IMAGENET_DEVIATION,
        ),
        "terramind": Checkpoint(
            "TerraMind 1.0 base: any-to-any model of several sensors, asked about Sentinel-1",
            *("TerraMind_v1_base.pt", f"{_HUB}/ibm-esa-geospatial/TerraMind-1.0-base", "terramind"),
            mean_db=(-12.599, -20.293),
            deviation_db=(5.195, 5.890),
        ),
        "copernicus_fm": Checkpoint(
            "Copernicus-FM base: one encoder of all Sentinels, asked about Sentinel-1",
            *("CopernicusFM_ViT_base_varlang_e100.pth", f"{_HUB}/wangyi111/Copernicus-FM", "copernicus"),
            wavelengths_um=(50_000.0, 50_000.0),
            bandwidth_um=1_000_000.0,
            mean_db=(-12.548, -20.192),
            deviation_db=(5.257, 5.912),
        ),
        "geochat": _llava(
            "GeoChat 7B: a vision-language model of optical remote sensing; answers by their probability",
            *(f"{_HUB}/MBZUAI/geochat-7B, with openai/clip-vit-large-patch14-336 as its vision_tower", 504),
        ),
        "vhm": _llava(
            "VHM 7B: a vision-language model of optical remote sensing; answers by their probability",
            *(f"{_HUB}/FitzPC/vhm_7B, with FitzPC/vhm_7b_pretrain_vit as its vision_tower", 336),
        ),
        "bita": _clip_vision(
            "BITA: captions of optical remote sensing; its image encoder, CLIP ViT-L-14 as it was",
            *("", "https://github.com/yangcong356/BITA, with clip_vit_L.pth of LAVIS' BLIP2", "bita"),
        ),
        "ban": _clip_vision(
            "BAN ViT-B-16: changes between optical images; its image encoder",
            *("ban_vit-b16-clip_mit-b0_512x512_40k_levircd.pth", f"{_HUB}/likyoo/BAN (checkpoint)", "ban"),
        ),
        "change_clip": _clip_vision(
            "ChangeCLIP ViT-B-16: changes between optical images; its image encoder",
            *("", "https://github.com/dyzy41/ChangeCLIP (ChangeCLIP_best_weights)", "change_clip"),
        ),
    }
)
"""Name -> entry."""
