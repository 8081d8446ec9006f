"""The system call that asks the driver of a network device: SIOCETHTOOL of linux/sockios.h and linux/ethtool.h."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from array import array

SIOCETHTOOL = 0x8946
# struct ifreq: the device's name and a pointer; the union that holds it is 24 bytes long on 64-bit machines.
REQUEST = struct.Struct("16sP16x")


def ask_driver(device: str, request: bytes, spare: int) -> bytes:
    """Send a request to a driver and return the structure that it filled in, as long as the request.

    Args:
        device: The name of the network device.
        request: A structure of linux/ethtool.h, as long as the reply should be.
        spare: Bytes that the kernel may write beyond that: it writes as much as the driver has.

    Raises:
        OSError: The driver does not support the request, the device does not exist, or the caller may not.
    """
    buffer = array("B", request)
    buffer.frombytes(bytes(spare))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as kernel:
        fcntl.ioctl(kernel, SIOCETHTOOL, REQUEST.pack(os.fsencode(device)[:15], buffer.buffer_info()[0]))
    return buffer[: len(request)].tobytes()
