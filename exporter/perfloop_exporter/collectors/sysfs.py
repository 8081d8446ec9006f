"""Files of sysfs that hold one number, and the samples that they become."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.host import whole
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from perfloop_exporter.collectors.families import Family, LabelValues, Reading, Sample
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.losses import Losses


class Numbers:
    """Reads numbers, and keeps the samples by family in the order in which the families were declared.

    Args:
        host: The machine.
        losses: Takes the files whose text is no number.
        families: The families that samples are added to.
    """

    def __init__(self, host: Host, losses: Losses, families: Iterable[Family]) -> None:
        self._host = host
        self._losses = losses
        self._samples: dict[Family, list[Sample]] = {family: [] for family in families}

    def read(self, path: str, base: int = 10, least: int | None = 0) -> int | None:
        """Return the number in a file.

        Args:
            path: Where it is.
            base: Of the number; 0 for a prefix such as 0x.
            least: What a smaller number is refused for; None for any.

        Returns:
            None where the file is missing or cannot be read now, or has no such number, which is a loss.
        """
        text = self._host.attribute(path)
        if text is None:
            return None
        with self._losses:
            number = whole(text, path, base)
            if least is not None and number < least:
                raise CollectorError(f"{path}: {number} is less than {least}")
            return number
        return None

    def add(self, family: Family, labels: LabelValues, value: float | None) -> None:
        """Add a sample, unless its value is None."""
        if value is not None:
            self._samples.setdefault(family, []).append((labels, value))

    def add_files(self, directory: str, files: Mapping[str, Family], labels: LabelValues) -> None:
        """Add a sample for each of the files that the directory has."""
        for file, family in files.items():
            self.add(family, labels, self.read(f"{directory}/{file}"))

    def readings(self) -> list[Reading]:
        """Return what was added."""
        return list(self._samples.items())
