"""Gates: what a run must keep, and whether it is worth judging at all."""
