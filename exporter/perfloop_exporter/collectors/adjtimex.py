"""The kernel's own account of its clock: adjtimex(2), which Python has no call for."""

from __future__ import annotations

import ctypes

from perfloop_exporter.errors import NoDataError

# What is handed out, in this order, after the state of the clock that the call returns.
FIELDS = (
    *("offset", "freq", "maxerror", "esterror", "status", "constant", "tick", "ppsfreq", "jitter"),
    *("shift", "stabil", "jitcnt", "calcnt", "errcnt", "stbcnt", "tai"),
)


class _Timex(ctypes.Structure):
    """struct timex of a 64-bit kernel, sys/timex.h."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int),
        *(
            (name, ctypes.c_long)
            for name in ("constant", "precision", "tolerance", "sec", "usec", "tick", "ppsfreq", "jitter")
        ),
        ("shift", ctypes.c_int),
        *((name, ctypes.c_long) for name in ("stabil", "jitcnt", "calcnt", "errcnt", "stbcnt")),
        ("tai", ctypes.c_int),
        ("unused", ctypes.c_int * 11),
    )


def read_clock() -> list[int]:
    """Ask the kernel; nothing is set."""
    answer = _Timex()
    library = ctypes.CDLL(None, use_errno=True)
    state = library.adjtimex(ctypes.byref(answer))
    if state < 0:
        raise NoDataError(f"adjtimex is refused with error {ctypes.get_errno()}")
    return [state, *(getattr(answer, name) for name in FIELDS)]
