"""Numbers as bcache and bcachefs write them for people: 1.5k, 36M."""

from __future__ import annotations

import re

from perfloop_exporter.errors import CollectorError

NUMBER = re.compile(r"(-?)([0-9]{1,20})(?:\.([0-9]{1,20}))?([kKmMgGtTpPeEZY]?)")
POWERS = " KMGTPEZY"


def parse_size(text: str, where: str, *, of_1024: bool = False) -> float:
    """Return the number; k, M and so on are powers of 1024.

    Args:
        text: What is parsed.
        where: Names the file in the error.
        of_1024: Whether a fraction counts 1024ths in steps of 10.24 rather than tenths, which is how node_exporter
            reads the numbers of bcache.

    Raises:
        CollectorError: The text is not such a number.
    """
    match = NUMBER.fullmatch(text.strip())
    if match is None:
        raise CollectorError(f"{where}: '{text[:40]}' is not a size")
    sign, whole_part, fraction, unit = match.groups()
    steps = of_1024 and bool(unit)
    value = int(whole_part) + int(fraction or 0) / 10.24 if steps else float(f"{whole_part}.{fraction or 0}")
    size = float(int(value * 1024.0 ** POWERS.index(unit.upper() or " ")))
    return -size if sign else size
