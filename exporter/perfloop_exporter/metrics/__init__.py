"""The metric store that the application view writes to: families with a hard cap, buffered series, a fast renderer."""
