"""`perfloop fill`: write to the long-term store what it lacks of what Prometheus still has."""
