"""The stack: start, stop and look after every program, natively or with Docker."""
