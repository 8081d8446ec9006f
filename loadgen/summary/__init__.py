"""What a run comes to, in plain numbers."""

from loadgen.summary.numbers import EndpointSummary, Summary, Times

__all__ = ["EndpointSummary", "Summary", "Times"]
