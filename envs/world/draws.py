"""
Random numbers that are functions of what they are for: (day, kind, id, leg), never of the order of the draws.

Two policies that play the same day therefore meet the same bookings, cancellations and delays, whatever they decide.
The four numbers are absorbed one after the other by the output function of splitmix64 (Steele, Lea, Flood: "Fast
splittable pseudorandom number generators", OOPSLA 2014; constants of Stafford's variant 13, as in Vigna's
public-domain splitmix64.c), whose input advances by the golden gamma each time.
"""

from __future__ import annotations

import hashlib
import math
import re

import numpy as np

from envs.world.compiled import jit

_GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER_A = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLIER_B = np.uint64(0x94D049BB133111EB)
_OWN_NUMBER = re.compile(r"[bd]?(0|[1-9][0-9]{0,17})")


@jit
def mix(state):
    """Output function of splitmix64: a bijection on 64 bits in which each input bit flips half of the output bits."""
    state = (state ^ (state >> np.uint64(30))) * _MULTIPLIER_A
    state = (state ^ (state >> np.uint64(27))) * _MULTIPLIER_B
    return state ^ (state >> np.uint64(31))


@jit
def bits(day_key, kind, id, leg):
    """64 random bits, a function of the four numbers (each taken modulo 2**64)."""
    state = mix(np.uint64(day_key) + _GOLDEN_GAMMA)
    state = mix((state ^ np.uint64(kind)) + _GOLDEN_GAMMA)
    state = mix((state ^ np.uint64(id)) + _GOLDEN_GAMMA)
    return mix((state ^ np.uint64(leg)) + _GOLDEN_GAMMA)


@jit
def uniform(day_key, kind, id, leg):
    """Uniform on [0, 1), 53 bits."""
    return float(bits(day_key, kind, id, leg) >> np.uint64(11)) * 2.0**-53


@jit
def uniform_int(day_key, kind, id, leg, low, high):
    """Uniform on the whole numbers low..high, both included."""
    return low + int(uniform(day_key, kind, id, leg) * (high - low + 1))


@jit
def standard_normal(day_key, kind, id, leg):
    """Normal with mean 0 and standard deviation 1 (Box and Muller 1958, the cosine half)."""
    first = bits(day_key, kind, id, leg)
    second = mix(first + _GOLDEN_GAMMA)
    radius_uniform = (float(first >> np.uint64(11)) + 1.0) * 2.0**-53  # (0, 1]: its logarithm is finite
    angle_uniform = float(second >> np.uint64(11)) * 2.0**-53
    return math.sqrt(-2.0 * math.log(radius_uniform)) * math.cos(2.0 * math.pi * angle_uniform)


def stable_key(text: str) -> int:
    """
    A number below 2**64 for an id, the same on every machine and in every run.

    Ids that are a decimal number, or one behind ``b`` or ``d`` as in generated days (``b17``), keep their number, so
    that compiled code knows their keys too; all other ids are hashed (BLAKE2b, 8 bytes).
    """
    own_number = _OWN_NUMBER.fullmatch(text)
    if own_number:
        return int(own_number.group(1))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
