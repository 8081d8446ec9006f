"""Two runs side by side: what changed, and whether the change is significant."""
