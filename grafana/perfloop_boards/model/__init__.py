"""Panels about language models: their speed and lengths, the engine that runs them, and its GPU."""
