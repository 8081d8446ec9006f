"""The metric store of the application view: families with a hard cap on series, buffered writes, a fast renderer."""
