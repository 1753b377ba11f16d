"""What a published checkpoint is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Checkpoint:
    """A method whose weights somebody else has trained.

    Attributes:
        about: one sentence.
        file: its file as its authors name it; "": the one file of weights in its folder, or the folder itself where
            the reader takes one.
        source: where it is to be had.
        reader: name in READERS.
        activation: of the layers, as Hugging Face names it.
        heads: attention heads; 0: a 64th of the width.
        frames: that its positions are for; it sees one.
        mean: of the channels between 0 and 1 that its images are normalised by; (): images come in our own units.
        deviation: likewise.
        mean_db: of the co- and the cross-polarised channel in dB, for networks of these two; (): our own units.
        deviation_db: likewise.
        wavelengths_um: of the co- and the cross-polarised channel, for architectures that ask.
        bandwidth_um: of both, likewise.
        side: of its images in pixels, where the file does not say; 0: it does.
        takes_folder: whether the weights are a folder of several files.
    """

    about: str
    file: str
    source: str
    reader: str
    activation: str = "gelu"
    heads: int = 0
    frames: int = 1
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    mean_db: tuple[float, ...] = ()
    deviation_db: tuple[float, ...] = ()
    wavelengths_um: tuple[float, ...] = ()
    bandwidth_um: float = 0.0
    side: int = 0
    takes_folder: bool = False
