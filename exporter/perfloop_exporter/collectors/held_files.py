"""Small sysfs files held open between scrapes: reading one again costs a fifth of opening it."""

from __future__ import annotations

import os
from contextlib import suppress
from errno import ENODEV, ENOENT, ESTALE

from perfloop_exporter.collectors.host import CHUNK, FLAGS

# At most a quarter of RLIMIT_NOFILE is held; files beyond that are opened and closed at each scrape.
SHARE_OF_LIMIT, MOST_HELD = 4, 512
# The device is gone, or was replaced under its name: the next scrape opens the file again.
GONE = frozenset({ENODEV, ENOENT, ESTALE})


class HeldFiles:
    """Reads attributes of sysfs through cached descriptors; one whose device is gone is closed."""

    def __init__(self, most: int | None = None) -> None:
        self._most = _share() if most is None else most
        self._held: dict[str, int] = {}

    def read(self, path: str) -> str | None:
        """Return the stripped text, or None when the file is missing or cannot be read now."""
        descriptor = self._held.get(path)
        try:
            if descriptor is None:
                descriptor = self._open(path)
            return os.pread(descriptor, CHUNK, 0).decode("utf-8", "replace").strip()
        except OSError as error:
            if error.errno in GONE:
                self._drop(path)
            return None
        finally:
            # Beyond the limit a file is closed again after each read.
            if len(self._held) > self._most:
                self._drop(path)

    def _open(self, path: str) -> int:
        descriptor = self._held[path] = os.open(path, FLAGS)
        return descriptor

    def keep(self, prefixes: set[str]) -> None:
        """Close the files that are in none of these directories: their devices are gone."""
        for path in [path for path in self._held if path.rpartition("/")[0] not in prefixes]:
            self._drop(path)

    def _drop(self, path: str) -> None:
        descriptor = self._held.pop(path, None)
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)

    def __del__(self) -> None:
        for path in list(self._held):
            self._drop(path)


def _share() -> int:
    import resource  # does not exist on Windows, where portable.py imports this module's users for their families

    return min(resource.getrlimit(resource.RLIMIT_NOFILE)[0] // SHARE_OF_LIMIT, MOST_HELD)
