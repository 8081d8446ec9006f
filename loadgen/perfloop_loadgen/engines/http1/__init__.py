"""Our own HTTP/1.1 client: asyncio protocols, made for uvloop."""
