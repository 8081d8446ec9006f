"""systemd's manager over D-Bus: org.freedesktop.systemd1(5)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

SERVICE = "org.freedesktop.systemd1"
PATH = "/org/freedesktop/systemd1"
MANAGER = f"{SERVICE}.Manager"
PROPERTIES = "org.freedesktop.DBus.Properties"
NO_SERVICE = frozenset(
    (
        "org.freedesktop.DBus.Error.ServiceUnknown",
        "org.freedesktop.DBus.Error.NameHasNoOwner",
        "org.freedesktop.DBus.Error.Spawn.ChildExited",
    )
)
TIMEOUT_SECONDS = 5.0
# Questions that are sent before their answers are read: one at a time would wait for the bus each time, and all at once
# could fill both directions of the socket.
AT_ONCE = 64


class Unit(NamedTuple):
    """One unit as ListUnits reports it, and where its object is."""

    name: str
    load_state: str
    active_state: str
    path: str


class Question(NamedTuple):
    """A property: the object's path, its interface without the service's name, such as Timer, and the name."""

    path: str
    interface: str
    name: str


class Manager(Protocol):
    """What the collector asks; used as a context that ends the connection."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the connection."""

    def units(self) -> list[Unit]:
        """Return every unit that is in memory.

        Raises:
            CollectorError: systemd does not answer as it should.
            NoDataError: It is not on the bus.
        """

    def ask(self, questions: Sequence[Question]) -> list[Any]:
        """Return the value of each property, None where the object or systemd's release does not have it.

        Raises:
            CollectorError: systemd does not answer.
        """


class BusManager:
    """Asks over the system bus, whose address is DBUS_SYSTEM_BUS_ADDRESS where that is set."""

    def __init__(self) -> None:
        from jeepney.io.blocking import open_dbus_connection

        try:
            self._bus = open_dbus_connection("SYSTEM")
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NoDataError(f"systemd: the system bus is not there: {error.strerror}") from error
        except Exception as error:  # the library raises errors of its own and of many modules
            raise CollectorError(f"systemd: the system bus refuses the connection: {error}") from error

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """End the connection."""
        with suppress(OSError):
            self._bus.close()

    def units(self) -> list[Unit]:
        """Return every unit that is in memory."""
        from jeepney import DBusAddress, MessageType, new_method_call

        call = new_method_call(DBusAddress(PATH, SERVICE, MANAGER), "ListUnits")
        reply = self._exchange([call])[0]
        if reply.header.message_type is MessageType.error:
            name, text = _error_of(reply)
            kind = NoDataError if name in NO_SERVICE else CollectorError
            raise kind(f"systemd: ListUnits: {text}")
        try:
            return [Unit(row[0], row[2], row[3], row[6]) for row in reply.body[0]]
        except (IndexError, TypeError) as error:
            raise CollectorError("systemd: ListUnits does not return units") from error

    def ask(self, questions: Sequence[Question]) -> list[Any]:
        """Return the value of each property, None where there is none."""
        from jeepney import DBusAddress, MessageType, new_method_call

        values: list[Any] = []
        for first in range(0, len(questions), AT_ONCE):
            calls = [
                new_method_call(
                    DBusAddress(question.path, SERVICE, PROPERTIES),
                    "Get",
                    "ss",
                    (f"{SERVICE}.{question.interface}", question.name),
                )
                for question in questions[first : first + AT_ONCE]
            ]
            for reply in self._exchange(calls):
                is_value = reply.header.message_type is MessageType.method_return and len(reply.body) == 1
                values.append(reply.body[0][1] if is_value else None)
        return values

    def _exchange(self, calls: Sequence[Any]) -> list[Any]:
        """Send calls, and return their replies in the same order."""
        from jeepney import HeaderFields

        replies: dict[int, Any] = {}
        try:
            serials = [next(self._bus.outgoing_serial) for _ in calls]
            for call, serial in zip(calls, serials, strict=True):
                self._bus.send(call, serial=serial)
            while len(replies) < len(calls):
                message = self._bus.receive(timeout=TIMEOUT_SECONDS)
                serial = message.header.fields.get(HeaderFields.reply_serial, -1)
                if serial in serials:  # else it is a signal of the bus
                    replies[serial] = message
        except TimeoutError as error:
            raise CollectorError(f"systemd: no answer within {TIMEOUT_SECONDS:g} s") from error
        except Exception as error:  # a reply that is no D-Bus message raises whatever its parser meets
            raise CollectorError(f"systemd: the system bus: {error}") from error
        return [replies[serial] for serial in serials]


def _error_of(reply: Any) -> tuple[str, str]:
    from jeepney import HeaderFields

    name = reply.header.fields.get(HeaderFields.error_name, "")
    return name, str(reply.body[0]) if reply.body else name


def connect() -> Manager:
    """Connect to the system bus.

    Raises:
        CollectorError: It refuses the connection.
        NoDataError: There is none.
    """
    return BusManager()
