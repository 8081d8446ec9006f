"""Instrumentation of HTTP servers, databases, caches, HTTP clients and LLM calls, under OpenTelemetry's names."""

from __future__ import annotations

from perfloop_exporter.instrument.asgi import instrument
from perfloop_exporter.instrument.cache import CacheMetrics
from perfloop_exporter.instrument.cache_redis import instrument_redis
from perfloop_exporter.instrument.database import db_operation
from perfloop_exporter.instrument.database_sqlalchemy import instrument_sqlalchemy
from perfloop_exporter.instrument.http_client import instrument_httpx
from perfloop_exporter.instrument.llm import llm_server_call
from perfloop_exporter.instrument.llm_openai import instrument_openai
from perfloop_exporter.instrument.telemetry import send_metrics
from perfloop_exporter.instrument.waits import waiting

__all__ = [
    "CacheMetrics",
    "db_operation",
    "instrument",
    "instrument_httpx",
    "instrument_openai",
    "instrument_redis",
    "instrument_sqlalchemy",
    "llm_server_call",
    "send_metrics",
    "waiting",
]
