"""A service of one's own with Perfloop's instrumentation.

uvicorn --app-dir examples service:app --port 8001
"""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, HTTPException

from perfloop import instrument, performance_monitor

PRICES = {"apple": 0.4, "bread": 2.9, "coffee": 8.5}

app = FastAPI(title="Shop")
# Requests, errors and latency per route, and GET /metrics.
instrument(app)


@app.get("/prices/{product}")
async def read_price(product: str) -> dict[str, float]:
    """Return a price; the lookup is a metric of its own: app_price_lookup_seconds."""
    with performance_monitor.measure_time("price_lookup_seconds", tags={"source": "memory"}):
        await asyncio.sleep(0.002)
        price = PRICES.get(product)
    if price is None:
        raise HTTPException(404, f"unknown product {product!r}; there are {', '.join(PRICES)}")
    return {"price": price}


@app.post("/orders", status_code=201)
async def create_order(items: dict[str, int]) -> dict[str, float]:
    """Sum an order up; its value is a metric of its own: app_order_value."""
    total = sum(PRICES.get(product, 0.0) * count for product, count in items.items())
    performance_monitor.record_metric("order_value", total, tags={"currency": "EUR"})
    return {"total": total}
