"""`perfloop scale`: gives a service as many replicas as the analyzer computes, where no cluster does it."""

from __future__ import annotations
