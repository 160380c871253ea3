"""A number's colour between two bounds, or its glyph where there is no colour."""

from __future__ import annotations

from itertools import pairwise

__all__ = ["colour", "glyph"]

_STOPS = (
    (0.00, (49, 54, 149)),
    (0.20, (69, 117, 180)),
    (0.40, (116, 173, 209)),
    (0.55, (254, 224, 144)),
    (0.70, (253, 174, 97)),
    (0.85, (244, 109, 67)),
    (1.00, (165, 0, 38)),
)
"""Cold to hot: blue over pale yellow to red, distinguishable with the common kinds of colour blindness."""

_SHADES = "·░▒▓█"
_ASCII_SHADES = ".:+#@"


def colour(value: float, low: float, high: float) -> tuple[int, int, int]:
    """Red, green and blue (0-255) of `value` on the scale from `low` to `high`, or of the nearer end."""
    position = _position(value, low, high)
    for (start, first), (end, last) in pairwise(_STOPS):
        if position <= end:
            share = (position - start) / (end - start)
            red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, last, strict=True))
            return red, green, blue
    return _STOPS[-1][1]


def glyph(value: float, low: float, high: float, *, unicode: bool = True) -> str:
    """One of five characters, light to dark, for `value` on the scale from `low` to `high`."""
    shades = _SHADES if unicode else _ASCII_SHADES
    return shades[min(int(_position(value, low, high) * len(shades)), len(shades) - 1)]


def _position(value: float, low: float, high: float) -> float:
    """0.0 to 1.0; a scale without extent has everything in its middle."""
    if high <= low:
        return 0.5
    return min(max((value - low) / (high - low), 0.0), 1.0)
