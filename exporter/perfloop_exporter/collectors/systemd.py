"""systemd's units, as its manager reports them over D-Bus: org.freedesktop.systemd1(5)."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError
from perfloop_exporter.collectors import systemd_bus
from perfloop_exporter.collectors.families import Family, Sample, counter, gauge, single
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.seldom import seldom
from perfloop_exporter.collectors.spec import Option, Spec, pattern
from perfloop_exporter.collectors.systemd_bus import Question, Unit
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfloop_exporter.collectors.families import Item, Reading
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options
    from perfloop_exporter.collectors.systemd_bus import Manager

VERSION = gauge("node_systemd_version", "Release of systemd.", "version")
VIRTUALIZATION = gauge(
    "node_systemd_virtualization_info", "What virtualizes the machine; always 1.", "virtualization_type"
)
RUNNING = gauge("node_systemd_system_running", "Whether the system runs, and no unit has failed.")
UNITS = gauge("node_systemd_units", "Units in a state.", "state")
STATE = gauge(
    "node_systemd_unit_state", "Whether a unit is in a state: 1 for the one it is in.", "name", "state", "type"
)
LAST_TRIGGER = gauge("node_systemd_timer_last_trigger_seconds", "When a timer elapsed last, Unix time.", "name")
ACCEPTED = counter("node_systemd_socket_accepted_connections_total", "Connections that a socket unit accepted.", "name")
CURRENT = gauge("node_systemd_socket_current_connections", "Connections of a socket unit.", "name")
# A counter, which node_exporter types as a gauge.
REFUSED = gauge("node_systemd_socket_refused_connections_total", "Connections that a socket unit refused.", "name")
RESTARTS = counter("node_systemd_service_restart_total", "Times that systemd restarted a service.", "name")
STARTED = gauge("node_systemd_unit_start_time_seconds", "When a unit became active, Unix time; else 0.", "name")
TASKS = gauge("node_systemd_unit_tasks_current", "Tasks of a service.", "name")
TASKS_MAX = gauge("node_systemd_unit_tasks_max", "Tasks that a service can have.", "name")
PER_UNIT = (STATE, LAST_TRIGGER, ACCEPTED, CURRENT, REFUSED, RESTARTS, STARTED, TASKS, TASKS_MAX)

STATES = ("active", "activating", "deactivating", "inactive", "failed")
UNIT_EXCLUDE = r".+\.(automount|device|mount|scope|slice)"
RELEASE = re.compile(r"[0-9]{3,}(\.[0-9]+)?")
# systemd's word for a number that there is not: a limit that is off, a group that does not count.
NONE = (1 << 64) - 1
MICRO = 1_000_000
MANAGER = tuple(Question(systemd_bus.PATH, "Manager", name) for name in ("Version", "Virtualization", "SystemState"))
# By the kind of the unit: the properties, their families, and their divisors.
SOCKET = {"NAccepted": (ACCEPTED, 1), "NConnections": (CURRENT, 1), "NRefused": (REFUSED, 1)}
TIMER = {"LastTriggerUSec": (LAST_TRIGGER, MICRO)}
Wanted = tuple[Question, Family, tuple[str, ...], int]


class SystemdCollector:
    """Exports the states of the chosen units, timers and sockets, and how many units are in which state."""

    def __init__(self, host: Host, options: Options) -> None:
        del host  # the bus is found by its own address, DBUS_SYSTEM_BUS_ADDRESS
        if find_spec("jeepney") is None:
            raise ConfigError("--collector.systemd needs the package jeepney: pip install 'perfloop[exporter]'")
        self._include = _whole_name(options, "unit-include")
        self._exclude = _whole_name(options, "unit-exclude")
        self._service: dict[str, tuple[Family, int]] = {}
        if options.switch("enable-restarts-metrics"):
            self._service["NRestarts"] = (RESTARTS, 1)
        if options.switch("enable-task-metrics"):
            self._service |= {"TasksCurrent": (TASKS, 1), "TasksMax": (TASKS_MAX, 1)}
        self._start_time = options.switch("enable-start-time-metrics")

    def collect(self) -> list[Item]:
        """Return one sample per unit and state.

        Raises:
            CollectorError: systemd does not answer.
            NoDataError: There is no system bus, or systemd is not on it.
        """
        losses = Losses()
        with systemd_bus.connect() as manager:
            units = manager.units()
            readings = _system(manager.ask(MANAGER), losses)
            counts = dict.fromkeys(STATES, 0)
            for unit in units:
                counts[unit.active_state] = counts.get(unit.active_state, 0) + 1
            readings.append((UNITS, [((state,), count) for state, count in counts.items()]))
            readings += self._units([unit for unit in units if self._is_chosen(unit)], manager, losses)
        return losses.settle(readings)

    def _is_chosen(self, unit: Unit) -> bool:
        included = self._include is None or self._include.fullmatch(unit.name) is not None
        excluded = self._exclude is not None and self._exclude.fullmatch(unit.name) is not None
        return unit.load_state == "loaded" and included and not excluded

    def _units(self, units: Sequence[Unit], manager: Manager, losses: Losses) -> list[Reading]:
        samples: dict[Family, list[Sample]] = {family: [] for family in PER_UNIT}
        kinds = {"service": "Service", "mount": "Mount"}
        typed = [unit for unit in units if _suffix(unit) in kinds]
        types = manager.ask([Question(unit.path, kinds[_suffix(unit)], "Type") for unit in typed])
        type_of = {unit.name: kind for unit, kind in zip(typed, types, strict=True) if isinstance(kind, str)}
        for unit in units:
            samples[STATE] += [
                ((unit.name, state, type_of.get(unit.name, "")), int(state == unit.active_state)) for state in STATES
            ]
            if self._start_time and unit.active_state != "active":
                samples[STARTED].append(((unit.name,), 0))
        wanted = [one for unit in units for one in self._wanted(unit)]
        answers = manager.ask([question for question, *_ in wanted])
        for (question, family, labels, divide), value in zip(wanted, answers, strict=True):
            if value is None or value == NONE:
                continue
            with losses:
                if not isinstance(value, int):
                    raise CollectorError(f"systemd: {question.name} of {labels[0]} is '{value!s:.40}', not a number")
                samples[family].append((labels, value / divide if divide > 1 else value))
        return list(samples.items())

    def _wanted(self, unit: Unit) -> Iterator[Wanted]:
        """Yield the numbers that are asked for of a unit."""
        interface, properties = {
            "service": ("Service", self._service),
            "socket": ("Socket", SOCKET),
            "timer": ("Timer", TIMER),
        }.get(_suffix(unit), ("Unit", {}))
        for name, (family, divide) in properties.items():
            yield Question(unit.path, interface, name), family, (unit.name,), divide
        if self._start_time and unit.active_state == "active":
            yield Question(unit.path, "Unit", "ActiveEnterTimestamp"), STARTED, (unit.name,), MICRO


def _whole_name(options: Options, name: str) -> re.Pattern[str] | None:
    return pattern("systemd", name, options.text(name))


def _suffix(unit: Unit) -> str:
    return unit.name.rpartition(".")[2]


def _system(answers: list[object], losses: Losses) -> list[Reading]:
    """Return what holds for the whole machine."""
    version, virtualization, state = answers
    release = RELEASE.search(str(version))
    readings: list[Reading] = [
        (VERSION, [((str(version) if release else "",), float(release[0]) if release else 0)]),
        # An empty answer is that of a machine that is not virtual.
        (VIRTUALIZATION, [(("unknown" if virtualization is None else str(virtualization) or "none",), 1)]),
    ]
    if isinstance(state, str):
        readings.append(single(RUNNING, int(state == "running")))
    else:
        losses.note(CollectorError("systemd: the manager does not report the state of the system"))
    return readings


SPEC = Spec(
    "systemd",
    seldom(SystemdCollector),
    "systemd's units",
    (
        Option("unit-include", ".+", "regular expression of units to export"),
        Option("unit-exclude", UNIT_EXCLUDE, "regular expression of units to leave out"),
        Option("enable-task-metrics", False, "export the tasks of services"),  # noqa: FBT003  # off
        Option("enable-restarts-metrics", False, "export how often services were restarted"),  # noqa: FBT003  # off
        Option("enable-start-time-metrics", False, "export when units became active"),  # noqa: FBT003  # off
    ),
    default=False,
)
