"""Tests from what a service already has: OpenAPI documents, recordings, curl commands, Postman collections."""

from __future__ import annotations

FORMS = ("openapi", "har", "curl", "postman")
