"""Where everything is put together: the one room that knows every other."""

from __future__ import annotations

from perfloop_loadgen.app.suite import LoadTestSuite
from perfloop_loadgen.app.tester import LoadTester

__all__ = ["LoadTestSuite", "LoadTester"]
