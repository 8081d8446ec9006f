"""Alembic's migrations of the analyzer's tables."""
