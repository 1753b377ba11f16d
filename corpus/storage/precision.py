"""How exactly a model computes, and how far two computations of one thing may be apart because of that."""

from types import MappingProxyType
from typing import Literal

Precision = Literal["fp32", "tf32", "bf16"]
"""fp32: all in float32. tf32: float32, of which a GPU's matrix units read 10 bits of the mantissa. bf16: products of
matrices in bfloat16; weights, sums, normalisations and losses stay in float32."""

EPSILON = MappingProxyType({"fp32": 2.0**-23, "tf32": 2.0**-10, "bf16": 2.0**-7})
"""Distance from 1 to the next larger number of each format."""
_STEPS = 8
"""Of EPSILON: what the roundings of a model's layers add up to in a logarithm, with room. 2.8 was measured in bf16."""
_LEAST = 2e-3
"""What another order of the sums does in float32, with room."""

PRECISION = (
    "fp32, tf32 (float32 on a GPU's tensor cores, which read 10 bits of the mantissa; as fp32 on a CPU) or bf16 "
    "(matrix products in bfloat16)"
)
"""What the keys of this type say of their values."""


def log_probability_tolerance(precision: Precision) -> float:
    """Largest difference of a log-probability, in nats, between `precision` and float32 that rounding explains."""
    return max(_LEAST, _STEPS * EPSILON[precision])
