"""Requests to language models: prompts of chosen lengths, bodies of each API, conversations."""
