"""What cannot be made again, in one archive: `perfloop backup`, and what `perfloop check` knows of it."""
