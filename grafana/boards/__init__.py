"""The boards: one file each, built from small named builders; build.py writes them as JSON."""
