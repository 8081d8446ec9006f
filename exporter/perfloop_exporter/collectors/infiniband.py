"""InfiniBand and RoCE adapters: /sys/class/infiniband (kernel: Documentation/ABI/stable/sysfs-class-infiniband)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, counter, gauge
from perfloop_exporter.collectors.host import decimal, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.seldom import seldom
from perfloop_exporter.collectors.spec import Spec, build_filter, filter_options
from perfloop_exporter.collectors.sysfs import Numbers
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

INFO = gauge(
    "node_infiniband_info", "What an adapter is; always 1.", "board_id", "device", "firmware_version", "hca_type"
)
PORT = ("device", "port")
STATE = gauge(
    "node_infiniband_state_id",
    "State of a port: 1 down, 2 initializing, 3 armed, 4 active, 5 active and deferred; 0 unchanged.",
    *PORT,
)
PHYSICAL_STATE = gauge(
    "node_infiniband_physical_state_id",
    "State of the link: 1 sleeps, 2 polls, 3 disabled, 4 trains, 5 up, 6 recovers from errors, 7 tests; 0 unchanged.",
    *PORT,
)
RATE = gauge("node_infiniband_rate_bytes_per_second", "Rate of a port.", *PORT)
LIFESPAN = gauge("node_infiniband_lifespan_seconds", "How old the counters of the hardware can be.", *PORT)


def _counters(*rows: tuple[str, str, str]) -> dict[str, Family]:
    return {file: counter(f"node_infiniband_{name}_total", help_, *PORT) for file, name, help_ in rows}


# The files of each directory below a port.
COUNTERS = _counters(
    ("excessive_buffer_overrun_errors", "excessive_buffer_overrun_errors", "Overruns of buffers one after the other."),
    ("link_downed", "link_downed", "Times that the link could not recover and went down."),
    ("link_error_recovery", "link_error_recovery", "Times that the link recovered from an error."),
    ("local_link_integrity_errors", "local_link_integrity_errors", "Times that local errors went past their limit."),
    ("multicast_rcv_packets", "multicast_packets_received", "Multicast packets received."),
    ("multicast_xmit_packets", "multicast_packets_transmitted", "Multicast packets sent."),
    ("port_rcv_constraint_errors", "port_constraint_errors_received", "Packets received that the switch discarded."),
    ("port_xmit_constraint_errors", "port_constraint_errors_transmitted", "Packets that the switch did not send."),
    ("port_rcv_data", "port_data_received_bytes", "Bytes received."),
    ("port_xmit_data", "port_data_transmitted_bytes", "Bytes sent."),
    ("port_rcv_discards", "port_discards_received", "Packets received that were discarded."),
    ("port_xmit_discards", "port_discards_transmitted", "Packets that were discarded before they were sent."),
    ("port_rcv_errors", "port_errors_received", "Packets received with errors."),
    ("port_rcv_packets", "port_packets_received", "Packets received."),
    ("port_xmit_packets", "port_packets_transmitted", "Packets sent."),
    ("port_xmit_wait", "port_transmit_wait", "Ticks in which there was data to send and none could be sent."),
    ("unicast_rcv_packets", "unicast_packets_received", "Unicast packets received."),
    ("unicast_xmit_packets", "unicast_packets_transmitted", "Unicast packets sent."),
    ("port_rcv_remote_physical_errors", "port_receive_remote_physical_errors", "Packets marked as bad by the sender."),
    ("port_rcv_switch_relay_errors", "port_receive_switch_relay_errors", "Packets that the switch could not forward."),
    ("symbol_error", "symbol_error", "Errors on a lane."),
    ("VL15_dropped", "vl15_dropped", "Management packets dropped."),
)
# Of kernels before 4.5.
LEGACY = _counters(
    ("port_multicast_rcv_packets", "legacy_multicast_packets_received", "Multicast packets received."),
    ("port_multicast_xmit_packets", "legacy_multicast_packets_transmitted", "Multicast packets sent."),
    ("port_rcv_data_64", "legacy_data_received_bytes", "Bytes received."),
    ("port_rcv_packets_64", "legacy_packets_received", "Packets received."),
    ("port_unicast_rcv_packets", "legacy_unicast_packets_received", "Unicast packets received."),
    ("port_unicast_xmit_packets", "legacy_unicast_packets_transmitted", "Unicast packets sent."),
    ("port_xmit_data_64", "legacy_data_transmitted_bytes", "Bytes sent."),
    ("port_xmit_packets_64", "legacy_packets_transmitted", "Packets sent."),
)
# Of the drivers, above all mlx5.
HARDWARE = _counters(
    ("duplicate_request", "duplicate_requests_packets", "Requests received again."),
    ("implied_nak_seq_err", "implied_nak_seq_errors", "Acknowledgements ahead of the read that they answer."),
    ("local_ack_timeout_err", "local_ack_timeout_errors", "Acknowledgements that did not come in time."),
    ("np_cnp_sent", "np_cnp_packets_sent", "Notifications of congestion sent."),
    ("np_ecn_marked_roce_packets", "np_ecn_marked_roce_packets_received", "Packets received with marks of congestion."),
    ("out_of_buffer", "out_of_buffer_drops", "Packets dropped since there was no receive buffer."),
    ("out_of_sequence", "out_of_sequence_packets_received", "Packets received out of order."),
    ("packet_seq_err", "packet_sequence_errors", "Sequence errors that the other side reported."),
    ("req_cqe_error", "req_cqes_errors", "Requests that completed with an error."),
    ("req_cqe_flush_error", "req_cqes_flush_errors", "Requests that completed since their queue was flushed."),
    ("req_remote_access_errors", "req_remote_access_errors", "Requests that the other side refused access."),
    ("req_remote_invalid_request", "req_remote_invalid_request_errors", "Requests that the other side found invalid."),
    ("resp_cqe_error", "resp_cqes_errors", "Responses that completed with an error."),
    ("resp_cqe_flush_error", "resp_cqes_flush_errors", "Responses that completed since their queue was flushed."),
    ("resp_local_length_error", "resp_local_length_errors", "Responses of a wrong length."),
    ("resp_remote_access_errors", "resp_remote_access_errors", "Responses that refused access."),
    ("rnr_nak_retry_err", "rnr_nak_retry_packets_received", "Answers that the receiver was not ready."),
    ("roce_adp_retrans", "roce_adp_retransmits", "Adaptive retransmissions."),
    ("roce_adp_retrans_to", "roce_adp_retransmits_timeout", "Timeouts of adaptive retransmissions."),
    ("roce_slow_restart", "roce_slow_restart_used", "Times that a slow restart was used."),
    ("roce_slow_restart_cnps", "roce_slow_restart_cnps", "Notifications of congestion that slow restarts sent."),
    ("roce_slow_restart_trans", "roce_slow_restart", "Changes to the state of slow restart."),
    ("rp_cnp_handled", "rp_cnp_packets_handled", "Notifications of congestion that slowed a sender down."),
    ("rp_cnp_ignored", "rp_cnp_ignored_packets_received", "Notifications of congestion that were ignored."),
    ("rx_atomic_requests", "rx_atomic_requests", "Atomic requests received."),
    ("rx_dct_connect", "rx_dct_connect_requests", "Requests to connect received."),
    ("rx_read_requests", "rx_read_requests", "Read requests received."),
    ("rx_write_requests", "rx_write_requests", "Write requests received."),
    ("rx_icrc_encapsulated", "rx_icrc_encapsulated_errors", "Packets with a wrong checksum."),
)
# They count words of 4 bytes.
WORDS = frozenset(("port_rcv_data", "port_xmit_data", "port_rcv_data_64", "port_xmit_data_64"))
WORD_BYTES = 4
BYTES_PER_GIGABIT = 125_000_000
NOT_COUNTED = "N/A"


class InfinibandCollector:
    """Exports state, rate and counters of each port."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._base = f"{host.sys}/class/infiniband"
        self._filter = build_filter("infiniband", "device", options)

    def collect(self) -> list[Item]:
        """Return one sample per port and counter; a counter that the driver does not have is left out.

        Raises:
            NoDataError: There is no adapter.
        """
        losses = Losses()
        declared = (*COUNTERS.values(), *LEGACY.values(), *HARDWARE.values())
        numbers = Numbers(self._host, losses, (INFO, STATE, PHYSICAL_STATE, RATE, LIFESPAN, *declared))
        devices = self._host.entries(self._base)
        if not devices:
            raise NoDataError(f"{self._base}: no adapter")
        for device in devices:
            if not self._filter.skips(device):
                path = f"{self._base}/{device}"
                board, firmware, kind = (
                    self._host.attribute(f"{path}/{file}") or "" for file in ("board_id", "fw_ver", "hca_type")
                )
                numbers.add(INFO, (board, device, firmware, kind), 1)
                with losses:
                    for port in self._host.entries(f"{path}/ports"):
                        self._read_port(f"{path}/ports/{port}", (device, port), numbers, losses)
        return losses.settle(numbers.readings())

    def _read_port(self, path: str, labels: tuple[str, str], numbers: Numbers, losses: Losses) -> None:
        for family, file in ((STATE, "state"), (PHYSICAL_STATE, "phys_state")):
            text = self._host.attribute(f"{path}/{file}")
            if text is not None:
                with losses:  # such as "4: ACTIVE"
                    numbers.add(family, labels, whole(text.partition(":")[0], f"{path}/{file}"))
        text = self._host.attribute(f"{path}/rate")
        if text is not None:
            with losses:  # such as "100 Gb/sec (4X EDR)"
                numbers.add(RATE, labels, int(decimal(text.partition(" ")[0], f"{path}/rate") * BYTES_PER_GIGABIT))
        for directory, files in (("counters", COUNTERS), ("counters_ext", LEGACY), ("hw_counters", HARDWARE)):
            self._read_counters(f"{path}/{directory}", files, labels, numbers, losses)
        milliseconds = numbers.read(f"{path}/hw_counters/lifespan")
        # Whole seconds, as in node_exporter.
        numbers.add(LIFESPAN, labels, None if milliseconds is None else milliseconds // 1000)

    def _read_counters(
        self, path: str, files: dict[str, Family], labels: tuple[str, str], numbers: Numbers, losses: Losses
    ) -> None:
        # Adapters have few of the files.
        try:
            names = self._host.entries(path)
        except CollectorError as error:
            losses.note(error)
            return
        for file in names:
            family = files.get(file)
            text = self._host.attribute(f"{path}/{file}") if family else None
            if family is None or text is None or text.startswith(NOT_COUNTED):
                continue
            with losses:
                value = whole(text, f"{path}/{file}", 0)
                numbers.add(family, labels, value * WORD_BYTES if file in WORDS else value)


SPEC = Spec(
    "infiniband",
    seldom(InfinibandCollector),
    "InfiniBand and RoCE adapters",
    filter_options("device", "adapters"),
)
