"""System collectors: one subject, one file."""
