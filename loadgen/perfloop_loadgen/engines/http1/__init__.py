"""The program's own HTTP/1.1 client: asyncio protocols, made for uvloop.

It is written by hand for its speed: with httpx or aiohttp the generator, not the service, would be the limit at a few
thousand requests per second and core (`benchmarks/loadgen_speed.py`).
"""
