"""Every random draw of a run takes its seed from here, so that the same run draws the same numbers."""

import hashlib


def derive_seed(*parts: int | str) -> int:
    """Return a 63-bit seed that derives from an ordered list of parts, such as (run seed, round, epoch, purpose).

    Different lists do not collide by accident, as sums of seeds do. The result is the same in every process, which that
    of `hash` is not.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
