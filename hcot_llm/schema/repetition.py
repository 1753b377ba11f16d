"""Endless repetition: a generated text that ends in the same unit over and over, until its tokens ran out."""

COPIES = 4  # at least so many of the unit
CHARACTERS = 32  # that fill at least so many characters: "none" four times in a row means nothing yet
LONGEST_UNIT = 1000  # characters


def repeated_unit(text: str) -> str | None:
    """The shortest unit that the end of a text repeats, the last copy perhaps cut; None where it repeats none."""
    for length in range(1, min(len(text) // COPIES, LONGEST_UNIT) + 1):
        tail = text[-max(COPIES * length, CHARACTERS) :]
        if len(tail) >= CHARACTERS and tail[length:] == tail[:-length]:
            return tail[:length]
    return None
