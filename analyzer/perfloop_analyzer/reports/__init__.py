"""Reports about a span of time: alerts, history and capacity, recommendations, and the regular review of all three."""
