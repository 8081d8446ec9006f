"""Words to vectors by feature hashing: the same text gives the same direction on every machine.

Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009.
"""

from __future__ import annotations

import re
import zlib

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]

# Few collisions among the words of the corpus, at 512 bytes for a vector.
DIMENSIONS = 128
_WORD = re.compile(r"\w+")
# Words that are spelt alike share trigrams, and so directions.
_TRIGRAM = 3


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return _WORD.findall(text.lower())


def embed(text: str) -> Vector:
    """Return the unit vector of a text's words and their trigrams; the empty text is the null vector."""
    vector = np.zeros(DIMENSIONS, dtype=np.float32)
    for word in split_words(text):
        padded = f"^{word}$"
        parts = [padded, *(padded[start : start + _TRIGRAM] for start in range(len(padded) - _TRIGRAM + 1))]
        for part in parts:
            number = zlib.crc32(part.encode())
            # The top bit is the sign, so that collisions cancel instead of adding up.
            vector[number % DIMENSIONS] += 1.0 if number >> 31 else -1.0
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector
