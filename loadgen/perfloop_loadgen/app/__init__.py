"""The composition root: the one package that imports all the others and puts them together."""

from __future__ import annotations

from perfloop_loadgen.app.suite import LoadTestSuite
from perfloop_loadgen.app.tester import LoadTester

__all__ = ["LoadTestSuite", "LoadTester"]
