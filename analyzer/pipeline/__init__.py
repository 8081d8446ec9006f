"""One cycle's thinking: batches in, a result out; pure, so that a test or a replay can run it."""

from analyzer.pipeline.cycle import Knowledge, analyze
from analyzer.pipeline.detect import Settings
from analyzer.pipeline.history import History, history_questions, learn, pack, unpack

__all__ = ["History", "Knowledge", "Settings", "analyze", "history_questions", "learn", "pack", "unpack"]
