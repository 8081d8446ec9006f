"""The adjtimex(2) system call, for which Python has no wrapper."""

from __future__ import annotations

import ctypes

from perfloop_exporter.errors import NoDataError

# The fields that read_clock returns after the clock's state, in this order.
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
    """Read the kernel's clock state without changing it (modes = 0).

    Returns:
        The return value of adjtimex(2) (TIME_OK … TIME_ERROR), then FIELDS in order, in the kernel's own units.

    Raises:
        NoDataError: The call is refused, for example by a seccomp filter.
    """
    answer = _Timex()
    library = ctypes.CDLL(None, use_errno=True)
    state = library.adjtimex(ctypes.byref(answer))
    if state < 0:
        raise NoDataError(f"adjtimex failed with errno {ctypes.get_errno()}")
    return [state, *(getattr(answer, name) for name in FIELDS)]
