"""Panels about one run of a load test: its figures, its results, and what happened while it lasted."""
