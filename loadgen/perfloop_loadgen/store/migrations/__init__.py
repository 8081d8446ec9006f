"""Alembic's migrations of the tables of load tests."""
