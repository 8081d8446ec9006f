"""Ways to tell: metrics, JSON, a page, a terminal, a report."""
