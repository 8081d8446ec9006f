"""The results of a run, in plain numbers."""

from __future__ import annotations

from perfloop_loadgen.summary.numbers import EndpointSummary, StreamSummary, Summary, Times, summarize

__all__ = ["EndpointSummary", "StreamSummary", "Summary", "Times", "summarize"]
