"""What is requested: prepared requests, their mix, and what their answers must be."""
