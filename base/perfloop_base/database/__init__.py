"""What every program's database has in common: opening it, upgrading it, and what its errors mean.

SQLite and PostgreSQL by SQLAlchemy, migrations by Alembic: the extra of a program that keeps a database brings them.
"""

from __future__ import annotations
