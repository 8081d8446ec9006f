"""Panels about what comes: headroom, the forecast of load, replicas, cost and waste. A file holds the rows of one."""
