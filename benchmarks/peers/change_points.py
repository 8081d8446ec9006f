"""Find change points with a peer, in the peer's own environment.

Usage: PEER'S-PYTHON change_points.py otava|ruptures|pelt|binseg SERIES.npz

SERIES.npz holds the series in order, without gaps. The answer is one JSON object on standard output: `found`, a list of
indices per series, and `cpu_seconds`, what the search cost without starting Python and importing the peer.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    Search = Callable[[np.ndarray], list[int]]


def build_otava() -> Search:
    """Return Apache Otava with its command line's defaults: window 50, p <= 0.001, no minimum magnitude."""
    from otava.analysis import compute_change_points

    def search(row: np.ndarray) -> list[int]:
        points, _ = compute_change_points(list(row), window_len=50, max_pvalue=0.001, min_magnitude=0.0)
        return [int(point.index) for point in points]

    return search


def build_ruptures() -> Search:
    """Return ruptures' PELT with l2 cost and the penalty 3 log(n) sigma^2.

    Sigma is robust: the median absolute difference of neighbours, scaled to a normal distribution.
    """
    import ruptures

    def search(row: np.ndarray) -> list[int]:
        sigma = 1.4826 * np.median(np.abs(np.diff(row))) / np.sqrt(2)
        model = ruptures.Pelt(model="l2", min_size=5, jump=1).fit(row)
        return [int(at) for at in model.predict(pen=3 * np.log(len(row)) * sigma**2)[:-1]]

    return search


def build_pelt() -> Search:
    """Return PELT as the Turing change point data set's authors ran it: standardised series, mean, MBIC's 3 log n."""
    import ruptures

    def search(row: np.ndarray) -> list[int]:
        # The same optimum as ruptures.Pelt's with the l2 cost, in compiled code: minutes less.
        model = ruptures.KernelCPD(kernel="linear", min_size=2, jump=1).fit(_standardised(row))
        return [int(at) for at in model.predict(pen=3 * np.log(len(row)))[:-1]]

    return search


def build_binseg() -> Search:
    """Return binary segmentation as those authors ran it: standardised series, mean, 3 log n, five changes at most."""
    import ruptures

    def search(row: np.ndarray) -> list[int]:
        model = ruptures.Binseg(model="l2", min_size=2, jump=1).fit(_standardised(row))
        found = model.predict(pen=3 * np.log(len(row)))[:-1]
        return [int(at) for at in (found if len(found) <= 5 else model.predict(n_bkps=5)[:-1])]

    return search


def _standardised(row: np.ndarray) -> np.ndarray:
    return (row - row.mean()) / (row.std() or 1.0)


BUILDERS = {"otava": build_otava, "ruptures": build_ruptures, "pelt": build_pelt, "binseg": build_binseg}


def main(method: str, file: str) -> int:
    """Search every series and print the answer."""
    search, stored = BUILDERS[method](), np.load(file)
    series = [stored[f"arr_{number}"] for number in range(len(stored.files))]
    before = time.process_time()
    found = [search(row) for row in series]
    json.dump({"found": found, "cpu_seconds": time.process_time() - before}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
