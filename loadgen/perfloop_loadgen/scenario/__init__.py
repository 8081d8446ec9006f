"""What is asked: requests made ready to send, their mix, and what their answers must be."""
