"""Weights of the golden cases, computed from (seed, tensor name, element index) so that no weights need be stored.

README.md states the function; tests compute the same bits in C++.
"""

import numpy as np

GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def fnv1a64(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def splitmix64(state):
    """state: array of uint64. One output of the splitmix64 generator for each state."""
    z = state + GOLDEN_GAMMA
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def round_to(values, dtype):
    """float32 values as they read back from storage in `dtype` (round to nearest even)."""
    if dtype == "F32":
        return values
    if dtype == "F16":
        return values.astype(np.float16).astype(np.float32)
    bits = values.view(np.uint32)
    bits = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return bits.view(np.float32)


def tensor(seed, spec):
    """spec: {"name", "shape", "dtype", "offset", "scale"}; scale is a power of two, so the sum rounds only once."""
    count = int(np.prod(spec["shape"]))
    start = np.uint64(fnv1a64(spec["name"]) ^ seed)
    with np.errstate(over="ignore"):
        x = splitmix64(start + np.arange(count, dtype=np.uint64) * GOLDEN_GAMMA)
    unit = ((x >> np.uint64(40)).astype(np.int64) - 2**23).astype(np.float32) * np.float32(2.0**-23)
    values = np.float32(spec["offset"]) + np.float32(spec["scale"]) * unit
    return round_to(values.astype(np.float32), spec["dtype"]).reshape(spec["shape"])
