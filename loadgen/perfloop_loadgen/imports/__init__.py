"""Tests from what a service already has: OpenAPI documents, recordings, curl commands, Postman collections."""
