"""What the programs share, each thing once: units, durations, addresses, schemas, errors and exit codes.

The package imports nothing beyond the base install (prometheus-client, psutil, PyYAML) unless a module says so in its
docstring; those modules are imported only where the extra that brings their library is installed.
"""
