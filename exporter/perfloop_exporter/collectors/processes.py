"""Processes and threads by state: /proc/*/stat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Reading, gauge, single
from perfloop_exporter.collectors.host import whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

THREADS = gauge("node_processes_threads", "Threads of all processes.")
THREADS_MAX = gauge("node_processes_max_threads", "Most threads that the machine may have.")
THREADS_STATE = gauge("node_processes_threads_state", "Threads in each state.", "thread_state")
STATE = gauge("node_processes_state", "Processes in each state.", "state")
PIDS = gauge("node_processes_pids", "Processes.")
PIDS_MAX = gauge("node_processes_max_processes", "Highest process number.")

# Columns of /proc/PID/stat counted from the state, which follows the name in brackets, proc_pid_stat(5).
STATE_COLUMN, THREADS_COLUMN = 0, 17


def parse_stat(text: str, where: str) -> tuple[str, int]:
    """Parse /proc/PID/stat or /proc/PID/task/TID/stat (proc_pid_stat(5)).

    Returns:
        The one-letter state of the task, and the number of threads of its process.

    Raises:
        CollectorError: The text is cut short; `where` names the file.
    """
    columns = text.rpartition(")")[2].split()
    if len(columns) <= THREADS_COLUMN or len(columns[STATE_COLUMN]) != 1:
        raise CollectorError(f"{where}: '{text[:60]}' is not the state of a process")
    return columns[STATE_COLUMN], whole(columns[THREADS_COLUMN], where)


class ProcessesCollector:
    """Counts tasks by state; a task that ends during the scrape is not counted."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Item]:
        """Return processes, threads and their limits."""
        losses = Losses()
        processes: dict[str, int] = {}
        tasks: dict[str, int] = {}
        threads = 0
        pids = [pid for pid in self._host.entries(self._host.proc) if pid.isdecimal()]
        for pid in pids:
            found = self._look(f"{self._host.proc}/{pid}/stat", losses)
            if found is None:
                continue
            state, count = found
            processes[state] = processes.get(state, 0) + 1
            threads += count
            for task in self._task_states(pid, state, count, losses):
                tasks[task] = tasks.get(task, 0) + 1
        readings: list[Reading] = []
        if processes:
            readings += [
                single(THREADS, threads),
                (STATE, [((state,), count) for state, count in sorted(processes.items())]),
                (THREADS_STATE, [((state,), count) for state, count in sorted(tasks.items())]),
                single(PIDS, sum(processes.values())),
            ]
        for family, file in ((THREADS_MAX, "threads-max"), (PIDS_MAX, "pid_max")):
            with losses:
                readings.append(single(family, whole(self._host.read_proc(f"sys/kernel/{file}").strip(), file)))
        return losses.settle(readings)

    def _task_states(self, pid: str, state: str, count: int, losses: Losses) -> list[str]:
        # Most processes have one thread, whose state is that of the process: no directory to list.
        if count <= 1:
            return [state]
        try:
            tasks = self._host.entries(f"{self._host.proc}/{pid}/task")
        except CollectorError:
            return [state]
        found = (self._look(f"{self._host.proc}/{pid}/task/{task}/stat", losses) for task in tasks if task != pid)
        return [state, *(look[0] for look in found if look is not None)]

    def _look(self, path: str, losses: Losses) -> tuple[str, int] | None:
        text = self._host.attribute(path)
        try:
            return parse_stat(text, path) if text else None
        except CollectorError as error:
            losses.note(error)
            return None


SPEC = Spec("processes", ProcessesCollector, "processes and threads by state", default=False)
