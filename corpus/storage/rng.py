"""Every random draw of a run takes its seed from here, so that the same run draws the same numbers."""

import hashlib


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from an ordered list of parts, such as (run seed, round, epoch, purpose).

    Unlike arithmetic on seeds, different part lists never collide by accident, and unlike `hash` the result
    is the same in every process.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
