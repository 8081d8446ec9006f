"""The demo service: a FastAPI multimodal API over a real database, cache and vector index."""
