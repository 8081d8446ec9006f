"""The system collectors: one subject, one file. The whole list of them stands in catalogue.py."""
