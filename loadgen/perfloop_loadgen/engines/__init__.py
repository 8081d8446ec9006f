"""The protocols by which the service under test is reached."""
