"""Streamed answers as they are on the wire: their framing, and what each event of a known format brings."""
