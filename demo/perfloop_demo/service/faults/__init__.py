"""Seven faults, one file each; each causes the real effect, and its end leaves nothing behind."""
