"""The collectors of macOS and Windows: what psutil knows there, under the names that the Linux collectors use."""
