"""The configuration files: catalogue, thresholds, rules and topology, read at start and again when one changes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from perfloop_analyzer.catalog import load_catalog
from perfloop_analyzer.catalog.loading import Limits
from perfloop_analyzer.incidents import Topology, read_topology
from perfloop_analyzer.pipeline import Knowledge
from perfloop_analyzer.recommend import load_rules
from perfloop_base.errors import ConfigError
from perfloop_base.prices import Prices, read_prices
from perfloop_base.scaling import Scaling, read_scaling
from perfloop_base.slos import read_slos
from perfloop_base.thresholds import read_thresholds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeVar

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.config import AnalysisConfig
    from perfloop_analyzer.recommend import Rule

    T = TypeVar("T")

log = logging.getLogger("analyzer")


def load_knowledge(config: AnalysisConfig) -> Knowledge:
    """Read every configuration file.

    Raises:
        ConfigError: With every problem of every file.
    """
    problems: list[str] = []

    def read(load: Callable[[], T], otherwise: T) -> T:
        try:
            return load()
        except ConfigError as error:
            problems.extend(error.problems)
            return otherwise

    limits = Limits(
        read(lambda: read_thresholds(config.thresholds_file) if config.thresholds_file else None, None),
        read(lambda: read_slos(config.slos_file) if config.slos_file else (), ()),
    )
    no_signals: tuple[Signal, ...] = ()
    no_rules: tuple[Rule, ...] = ()
    catalog = read(lambda: load_catalog(config.catalog_files, limits), no_signals)
    rules = read(lambda: load_rules(config.rule_files), no_rules)
    topology = read(lambda: read_topology(config.topology_file), Topology())
    scaling = read(lambda: read_scaling(config.scaling_file) if config.scaling_file else Scaling(), Scaling())
    no_prices: Prices | None = None
    prices = read(lambda: _read_prices(config.prices_file), no_prices)
    if problems:
        raise ConfigError(problems)
    return Knowledge(catalog, rules, topology, scaling=scaling, prices=prices)


def _read_prices(path: Path | None) -> Prices | None:
    """Return the prices; None while the file is not there: it is read once somebody puts it there."""
    return read_prices(path) if path is not None and path.exists() else None


class ConfigurationFiles:
    """The files of one run, and the result of their last good reading.

    Attributes:
        knowledge: What the analyzer works with. A file that becomes invalid leaves it unchanged.
        problem: Why the newest reading failed; empty while the files and `knowledge` agree.
    """

    def __init__(self, config: AnalysisConfig) -> None:
        """Read the files.

        Raises:
            ConfigError: With every problem of every file.
        """
        self._config = config
        self._seen = self._fingerprint()
        self.knowledge = load_knowledge(config)
        self.problem = ""

    def refresh(self) -> bool:
        """Read the files again if one of them changed; return whether `knowledge` is new."""
        # Taken before reading: a change while the files are read is seen by the next call.
        now = self._fingerprint()
        if now == self._seen:
            return False
        self._seen = now
        try:
            self.knowledge = load_knowledge(self._config)
        except ConfigError as error:
            self.problem = "; ".join(error.problems)
            log.error("configuration not reloaded, the last good one stays in use: %s", self.problem)  # noqa: TRY400 - a user's mistake has no traceback
            return False
        self.problem = ""
        log.info("configuration reloaded")
        return True

    def _fingerprint(self) -> tuple[object, ...]:
        return tuple(_state(path) for path in self._config.files())


def _state(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is written or replaced by a rename; None for a missing file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
