"""The exporter's web server: requests, TLS and authentication in exporter-toolkit's format."""
