"""The switchboard: which faults are on; sets several together and switches all off."""

from __future__ import annotations

import logging
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from perfloop_base.errors import ConfigError
from perfloop_demo.service.faults.rules import find_problems
from perfloop_demo.service.instruments.library import LIBRARY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_demo.service.faults.rules import Rule
    from perfloop_demo.service.instruments import Instruments

log = logging.getLogger(__name__)


class Fault(Protocol):
    """One fault that can be switched on."""

    rule: Rule

    def apply(self, value: float) -> None:
        """Set the fault to this value; 0 switches it off."""


class Switchboard:
    """All faults of the service; one request at a time changes them."""

    def __init__(self, faults: Sequence[Fault], instruments: Instruments = LIBRARY) -> None:
        self._instruments = instruments
        self._faults = {fault.rule.name: fault for fault in faults}
        self.rules = {name: fault.rule for name, fault in self._faults.items()}
        self._values: dict[str, float] = {}
        self._lock = Lock()
        for name in self._faults:
            self._publish(name, 0)

    def get_active(self) -> dict[str, float]:
        """Return the faults that are on."""
        return dict(self._values)

    def update(self, wanted: Any) -> dict[str, float]:
        """Set the named faults and return those that are on.

        Raises:
            ConfigError: one sentence per broken rule; nothing is changed.
        """
        problems = find_problems(wanted, self.rules)
        if problems:
            raise ConfigError(problems)
        # Two requests that set one fault together would leave its value and its metric apart.
        with self._lock:
            for name, value in wanted.items():
                self._set(name, value)
        return self.get_active()

    def heal(self) -> dict[str, float]:
        """Switch every fault off."""
        with self._lock:
            for name in list(self._values):
                self._set(name, 0)
        return self.get_active()

    def _set(self, name: str, value: float) -> None:
        if value:
            self._values[name] = value
        else:
            self._values.pop(name, None)
        self._faults[name].apply(value)
        self._publish(name, value)
        log.info("fault set", extra={"fault": name, "value": value})

    def _publish(self, name: str, value: float) -> None:
        self._instruments.show_fault(name, float(value))
