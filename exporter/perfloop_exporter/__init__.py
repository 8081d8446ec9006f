"""What is happening: system collectors and the instrumentation that services import."""
