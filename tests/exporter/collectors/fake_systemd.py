"""A systemd that answers from a file: in place of the bus, or as the service of a private one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self

from jeepney import DBusAddress, HeaderFields, MessageType, new_error, new_method_call, new_method_return
from jeepney.io.blocking import open_dbus_connection

from perfloop_exporter.collectors.systemd_bus import PATH, SERVICE, Question, Unit

if TYPE_CHECKING:
    from collections.abc import Sequence

BUS = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")


def path_of(name: str) -> str:
    """Return where the object of a unit is: what is no letter or digit is written in hexadecimal, as systemd does."""
    return f"{PATH}/unit/" + "".join(char if char.isalnum() else f"_{ord(char):02x}" for char in name)


class FakeManager:
    """Answers from the part `systemd` of a host.json."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self._units = answers["units"]
        self._properties = {(PATH, f"Manager.{name}"): value for name, value in answers["manager"].items()}
        for unit, properties in self._units.items():
            self._properties |= {(path_of(unit), name): value for name, value in properties.items()}

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End."""

    def units(self) -> list[Unit]:
        """Return every unit."""
        return [
            Unit(name, unit.get("load", "loaded"), unit["state"], path_of(name)) for name, unit in self._units.items()
        ]

    def variant(self, path: str, interface: str, name: str) -> tuple[str, Any] | None:
        """Return type and value of a property."""
        found = self._properties.get((path, f"{interface}.{name}"))
        return None if found is None else (found[0], found[1])

    def ask(self, questions: Sequence[Question]) -> list[Any]:
        """Return the values of properties."""
        found = (self.variant(*question) for question in questions)
        return [None if one is None else one[1] for one in found]


class BusService:
    """Owns systemd's name on a bus, and answers on a thread until it is stopped."""

    def __init__(self, address: str, manager: FakeManager) -> None:
        self._manager = manager
        self._bus = open_dbus_connection(address)
        self._bus.send_and_get_reply(new_method_call(BUS, "RequestName", "su", (SERVICE, 0)), timeout=10)
        self._ends = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and the connection."""
        self._ends = True
        self._thread.join()
        self._bus.close()

    def _run(self) -> None:
        while not self._ends:
            try:
                message = self._bus.receive(timeout=0.1)
            except TimeoutError:
                continue
            if message.header.message_type is MessageType.method_call:
                self._bus.send(self._answer(message))

    def _answer(self, call: Any) -> Any:
        fields = call.header.fields
        if fields[HeaderFields.member] == "ListUnits":
            rows = [
                (unit.name, "A unit", unit.load_state, unit.active_state, "any", "", unit.path, 0, "", "/")
                for unit in self._manager.units()
            ]
            return new_method_return(call, "a(ssssssouso)", (rows,))
        interface, name = call.body
        found = self._manager.variant(fields[HeaderFields.path], interface.removeprefix(f"{SERVICE}."), name)
        if found is None:
            return new_error(call, "org.freedesktop.DBus.Error.UnknownProperty", "s", (f"Unknown property {name}",))
        return new_method_return(call, "v", (found,))
