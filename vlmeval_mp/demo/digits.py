"""The scans of digits: the split into training and test, and their form as a picture or a clip.

A scan is one of scikit-learn's `load_digits`: 8x8 cells of ink, 0 to 16, and the digit that was meant. Its place in
that data set is its id. Knows no question and no model.
"""

from __future__ import annotations

import random
from functools import cache

import numpy as np
from numpy.typing import NDArray

Cells = NDArray[np.float64]
Pixels = NDArray[np.uint8]

HELD_OUT = 400
SIDE = 56
"""Pixels of a picture's side; seven for a cell."""
CLIP_WIDTH = 2 * SIDE
DIGITS_PER_CLIP = 4
FRAMES_PER_DIGIT = 9
"""Eight frames drawn evenly from a clip of 4 x 9 are the 4th, 8th, … 32nd: two of each digit."""
SAMPLED_FRAMES = 8


@cache
def _scans() -> tuple[Cells, tuple[int, ...]]:
    from sklearn.datasets import load_digits

    cells, digits = load_digits(return_X_y=True)
    return cells.reshape(-1, 8, 8), tuple(int(digit) for digit in digits)


@cache
def split() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the ids to train on and the ids held out, each in ascending order."""
    ids = list(range(len(_scans()[1])))
    random.Random("digits split").shuffle(ids)
    return tuple(sorted(ids[HELD_OUT:])), tuple(sorted(ids[:HELD_OUT]))


def cells_of(scan: int) -> Cells:
    """Return the ink of a scan."""
    cells: Cells = _scans()[0][scan]
    return cells


def digit_of(scan: int) -> int:
    """Return the digit that a scan shows."""
    return _scans()[1][scan]


def picture(cells: Cells) -> Pixels:
    """Return a scan as dark ink on white paper, `SIDE` x `SIDE` x 3."""
    shade = (255 - cells * 255 / 16).round().astype(np.uint8)
    large = np.kron(shade, np.ones((SIDE // 8, SIDE // 8), dtype=np.uint8))
    return np.repeat(large[:, :, None], 3, axis=2)


def on_strip(pixels: Pixels) -> Pixels:
    """Return a picture in the middle of a wide white frame, as clips show it."""
    frame = np.full((SIDE, CLIP_WIDTH, 3), 255, dtype=np.uint8)
    left = (CLIP_WIDTH - SIDE) // 2
    frame[:, left : left + SIDE] = pixels
    return frame
