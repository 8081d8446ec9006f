"""Instrumentation for services: each part is one call."""
