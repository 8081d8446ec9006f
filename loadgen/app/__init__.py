"""Where everything is put together: the one room that knows every other."""

from loadgen.app.suite import LoadTestSuite
from loadgen.app.tester import LoadTester

__all__ = ["LoadTestSuite", "LoadTester"]
