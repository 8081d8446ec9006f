"""Run a test: lanes send requests, loops decide when, a watch measures the generator itself."""
