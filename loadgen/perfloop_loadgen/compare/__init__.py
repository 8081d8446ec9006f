"""Two runs side by side: what changed, and whether chance could have done it."""
