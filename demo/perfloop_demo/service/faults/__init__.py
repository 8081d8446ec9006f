"""Seven faults, one file each; each does the real thing and heals without a trace."""
