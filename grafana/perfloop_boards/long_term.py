"""The row about the long-term store: how far it is behind, what it refuses, and how large it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Row, evenly
from perfloop_boards.limits import seconds
from perfloop_boards.links import to_runbook
from perfloop_boards.panels import About, lines
from perfloop_boards.queries import Query, ever

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

NO_STORE = "No long-term store: `perfloop up --scale` starts one."


def _store_delay(limits: Limits) -> AnyPanel:
    behind = limits.alert("RemoteWriteBehind")
    sent = "prometheus_remote_storage_queue_highest_sent_timestamp_seconds > 0"
    age = f"prometheus_remote_storage_highest_timestamp_in_seconds - on (service, instance) group_right () ({sent})"
    return lines(
        About(
            "Delay of the long-term store",
            f"Age of its newest sample, by Prometheus. Good: under 5 s. Above {seconds(behind.first)}, it lags; what "
            "waits for two hours is never sent.",
            "s",
            NO_STORE,
            links=(to_runbook("RemoteWriteBehind"),),
        ),
        [Query(f"max by (instance, remote_name) ({age})", "{{instance}} → {{remote_name}}")],
        behind,
    )


def _store_samples() -> AnyPanel:
    rate = "sum(rate(prometheus_remote_storage_samples_{}_total[$__rate_interval]))"
    return lines(
        About(
            "Samples sent to the store",
            "Per second, of both Prometheus. Good: no sample refused, dropped or sent again.",
            "short",
            NO_STORE,
            links=(to_runbook("RemoteWriteRefused"),),
        ),
        [
            Query("sum(rate(prometheus_remote_storage_samples_total[$__rate_interval]))", "sent", colours.TRAFFIC),
            Query(ever(rate.format("retried")), "tried again", colours.SLOW),
            Query(ever(rate.format("failed")), "refused", colours.ERRORS),
            Query(ever(rate.format("dropped")), "dropped", colours.OTHER),
        ],
    )


def _store_waiting() -> AnyPanel:
    return lines(
        About(
            "Samples waiting for the store",
            "Read from the write-ahead log, not delivered yet. Good: a scrape's worth. A plateau: it takes none.",
            "short",
            NO_STORE,
            links=(to_runbook("RemoteWriteFailing"),),
        ),
        [Query("sum by (instance) (prometheus_remote_storage_samples_pending)", "{{instance}}")],
    )


def _store_size() -> AnyPanel:
    return lines(
        About(
            "Size of the long-term store",
            "Its data, and the free space of its disk. Good: free space for the whole retention.",
            "bytes",
            NO_STORE,
            links=(to_runbook("RemoteStoreFillingUp"),),
        ),
        [
            Query("sum(vm_data_size_bytes)", "data", colours.DISK),
            Query("min(vm_free_disk_space_bytes)", "free", colours.OTHER),
        ],
    )


def long_term_store(limits: Limits) -> Row:
    """Return the row; folded, since most stacks have no such store."""
    panels = evenly(_store_delay(limits), _store_samples(), _store_waiting(), _store_size())
    return Row(7, panels, title="Long-term store", collapsed=True)
