"""Clock synchronisation: adjtimex(2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from perfloop_exporter.collectors.families import Family, Reading, counter, gauge, single
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

# linux/timex.h: the state of a clock that is not synchronised, and the status bit of a clock that counts nanoseconds.
TIME_ERROR = 5
STA_NANO = 0x2000
MICRO, NANO = 1_000_000, 1_000_000_000
# A scaled part per million: 2^-16 of it, NOTES of adjtimex(2).
SCALED_PPM = 65536 * MICRO


def _timex(name: str, help_: str) -> Family:
    return (counter if name.endswith("_total") else gauge)(f"node_timex_{name}", help_)


SYNC = _timex("sync_status", "Whether a reliable source keeps the clock.")
OFFSET = _timex("offset_seconds", "How far the clock is off its reference.")
FREQUENCY = _timex("frequency_adjustment_ratio", "How the clock's frequency is adjusted, 1 for not at all.")
MAXERROR = _timex("maxerror_seconds", "Most that the clock may be off.")
ESTERROR = _timex("estimated_error_seconds", "What the clock is thought to be off.")
STATUS = _timex("status", "The bits of the status word.")
CONSTANT = _timex("loop_time_constant", "Time constant of the phase-locked loop.")
TICK = _timex("tick_seconds", "Seconds between clock ticks.")
PPS_FREQUENCY = _timex("pps_frequency_hertz", "Frequency of the pulse per second.")
PPS_JITTER = _timex("pps_jitter_seconds", "Jitter of the pulse per second.")
PPS_SHIFT = _timex("pps_shift_seconds", "Interval of the pulse per second.")
PPS_STABILITY = _timex("pps_stability_hertz", "Stability of the pulse per second.")
PPS_JITTERED = _timex("pps_jitter_total", "Times the jitter of the pulse per second was beyond its limit.")
PPS_CALIBRATIONS = _timex("pps_calibration_total", "Calibrations by the pulse per second.")
PPS_ERRORS = _timex("pps_error_total", "Errors of calibrations by the pulse per second.")
PPS_EXCEEDED = _timex("pps_stability_exceeded_total", "Times its stability was beyond the limit.")
TAI = _timex("tai_offset_seconds", "How far international atomic time is ahead of UTC.")


class ClockState(NamedTuple):
    """The result of adjtimex(2) in the kernel's units: microseconds, or nanoseconds where STA_NANO is set."""

    state: int
    offset: int
    freq: int
    maxerror: int
    esterror: int
    status: int
    constant: int
    tick: int
    ppsfreq: int
    jitter: int
    shift: int
    stabil: int
    jitcnt: int
    calcnt: int
    errcnt: int
    stbcnt: int
    tai: int


class TimexCollector:
    """Exports offset, errors and synchronisation status of the clock."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Reading]:
        """Return one family per field, in seconds, hertz or ratios."""
        try:
            clock = ClockState(*self._host.adjtimex())
        except (OSError, AttributeError) as error:
            raise CollectorError(f"adjtimex: {error}") from error
        unit = NANO if clock.status & STA_NANO else MICRO
        return [
            single(SYNC, int(clock.state != TIME_ERROR)),
            single(OFFSET, clock.offset / unit),
            single(FREQUENCY, 1 + clock.freq / SCALED_PPM),
            single(MAXERROR, clock.maxerror / MICRO),
            single(ESTERROR, clock.esterror / MICRO),
            single(STATUS, clock.status),
            single(CONSTANT, clock.constant),
            single(TICK, clock.tick / MICRO),
            single(PPS_FREQUENCY, clock.ppsfreq / SCALED_PPM),
            single(PPS_JITTER, clock.jitter / unit),
            single(PPS_SHIFT, clock.shift),
            single(PPS_STABILITY, clock.stabil / SCALED_PPM),
            single(PPS_JITTERED, clock.jitcnt),
            single(PPS_CALIBRATIONS, clock.calcnt),
            single(PPS_ERRORS, clock.errcnt),
            single(PPS_EXCEEDED, clock.stbcnt),
            single(TAI, clock.tai),
        ]


SPEC = Spec("timex", TimexCollector, "clock synchronisation")
