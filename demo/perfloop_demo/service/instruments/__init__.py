"""What measures the service: Perfloop's instrumentation, or OpenTelemetry's in its place (`--instrumentation`)."""

from __future__ import annotations

from perfloop_demo.service.instruments.ports import CacheMeter, Instruments, ModelCall, Operation

__all__ = ["CacheMeter", "Instruments", "ModelCall", "Operation"]
