"""Ways to speak to the service under test."""
