"""What every web server here does with a request before the program sees it.

The web configuration file in exporter-toolkit's format (config, tls, gate), the check of the Host header (hosts), the
headers of every response (headers), the refusals of both (refusals), and the guard of an ASGI application (asgi). Only
the base install is needed here: the exporter and services that import the instrumentation have no web framework.
"""
