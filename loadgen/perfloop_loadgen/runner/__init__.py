"""Run a test: lanes that ask, loops that decide when, the watch on the generator itself."""
