"""Metrics by OTLP as well: what `/metrics` gives, under the same names, sent through OpenTelemetry's own exporter."""

from __future__ import annotations

from perfloop_exporter.otlp.conversion import read_page
from perfloop_exporter.otlp.destination import Destination, from_variables, parse_endpoint, read_destination
from perfloop_exporter.otlp.sender import EXPORTS, EXPORTS_HELP, Sender

__all__ = [
    "EXPORTS",
    "EXPORTS_HELP",
    "Destination",
    "Sender",
    "from_variables",
    "parse_endpoint",
    "read_destination",
    "read_page",
]
