"""One line each: HTTP server, database, cache, HTTP client and LLM calls, measured under OpenTelemetry's names."""

from exporter.instrument.asgi import instrument
from exporter.instrument.cache import CacheMetrics
from exporter.instrument.cache_redis import instrument_redis
from exporter.instrument.database import db_operation
from exporter.instrument.database_sqlalchemy import instrument_sqlalchemy
from exporter.instrument.http_client import instrument_httpx
from exporter.instrument.llm_client import instrument_openai
from exporter.instrument.llm_server import llm_server_call

__all__ = [
    "CacheMetrics",
    "db_operation",
    "instrument",
    "instrument_httpx",
    "instrument_openai",
    "instrument_redis",
    "instrument_sqlalchemy",
    "llm_server_call",
]
