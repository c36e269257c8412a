"""Sinusoidal positions (Vaswani et al. 2017, section 3.5): a table that tells attention where things stand.

    PE[t, 2i] = sin(t / 10000^{2i/D}),    PE[t, 2i + 1] = cos(t / 10000^{2i/D})

Moving by k steps rotates each pair of columns by a fixed angle, so distances look alike everywhere.
"""

import numpy as np

from minirec.functional.arguments import Array


def sinusoidal_positions(length: int, width: int) -> Array:
    """PE (length, width) in float64, a constant: there is no backward. An odd width ends with a sine."""
    if length < 0 or width < 1:
        raise ValueError(f"length must be at least 0 and width at least 1, got {length} and {width}")
    t = np.arange(length)[:, None]  # (length, 1)
    pair = np.arange(width) // 2  # (width,)
    angle = t / 10000.0 ** (2 * pair / width)  # (length, width)
    return np.where(np.arange(width) % 2 == 0, np.sin(angle), np.cos(angle))
