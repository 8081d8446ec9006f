"""Panels about machines, one module for each resource: how much is used, what waits for it, what went wrong."""
