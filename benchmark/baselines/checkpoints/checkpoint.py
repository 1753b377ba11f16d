"""What a published checkpoint is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Checkpoint:
    """A method whose weights somebody else has trained.

    Attributes:
        about: one sentence.
        file: its file as its authors name it; "": any.
        source: where it is to be had.
        reader: name in READERS; "": nothing here reads its architecture yet.
        needs: what that architecture is, where nothing reads it.
        activation: of the layers, as Hugging Face names it.
        heads: attention heads; 0: a 64th of the width.
        frames: that its positions are for; it sees one.
        mean: of the channels between 0 and 1 that its images are normalised by; (): images come in our own units.
        deviation: likewise.
        wavelengths_um: of the co- and the cross-polarised channel, for architectures that ask.
    """

    about: str
    file: str
    source: str
    reader: str = ""
    needs: str = ""
    activation: str = "gelu"
    heads: int = 0
    frames: int = 1
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    wavelengths_um: tuple[float, ...] = ()
