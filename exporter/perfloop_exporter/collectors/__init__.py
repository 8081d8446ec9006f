"""The system collectors: one file per subject. catalogue.py lists those of this operating system."""
