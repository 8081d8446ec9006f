"""One cycle's thinking: batches in, a result out; pure, so that a test or a replay can run it."""

from analyzer.pipeline.cycle import Knowledge, analyze

__all__ = ["Knowledge", "analyze"]
