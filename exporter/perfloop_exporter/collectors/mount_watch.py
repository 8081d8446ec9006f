"""statvfs with a timeout for network filesystems, whose dead server would block the scrape for ever."""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

# Filesystems that can hang on a server; local ones are read without a thread.
REMOTE = frozenset(
    {"9p", "afs", "ceph", "cifs", "coda", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb3", "smbfs"}
)
STUCK = "mountpoint timeout"


def may_hang(fstype: str) -> bool:
    """Return whether statvfs depends on another machine or on a user-space program (FUSE)."""
    return fstype in REMOTE or fstype.startswith("fuse.")


class MountWatch:
    """Reads each mount in a thread of its own; a mount that hangs is not read again until its thread returns."""

    def __init__(self, statvfs: Callable[[str], os.statvfs_result], timeout_seconds: float) -> None:
        self._statvfs = statvfs
        self._timeout = timeout_seconds
        self._asking: dict[str, _Question] = {}

    def ask(self, path: str) -> os.statvfs_result:
        """Return the result of statvfs.

        Raises:
            TimeoutError: There was no result within the timeout, now or at an earlier scrape.
            OSError: The call failed.
        """
        question = self._asking.get(path)
        if question is None:
            try:
                question = self._asking[path] = _Question(self._statvfs, path)
            except RuntimeError as error:  # the limit of threads: this mount is without its sizes, the others are not
                raise OSError(errno.EAGAIN, str(error)) from error
            question.answered.wait(self._timeout)
        if not question.answered.is_set():
            raise TimeoutError(STUCK)
        del self._asking[path]
        if question.error is not None:
            raise question.error
        if question.answer is None:
            raise TimeoutError(STUCK)
        return question.answer


class _Question:
    def __init__(self, statvfs: Callable[[str], os.statvfs_result], path: str) -> None:
        self.answered = threading.Event()
        self.answer: os.statvfs_result | None = None
        self.error: OSError | None = None
        threading.Thread(target=self._run, args=(statvfs, path), name="statvfs", daemon=True).start()

    def _run(self, statvfs: Callable[[str], os.statvfs_result], path: str) -> None:
        try:
            self.answer = statvfs(path)
        except OSError as error:
            self.error = error
        except ValueError as error:  # no path at all
            self.error = OSError(errno.EINVAL, str(error))
        self.answered.set()
