"""What services cost: amounts from Prometheus by prices from `prices.yml`. Without a price there is no figure."""

from __future__ import annotations
