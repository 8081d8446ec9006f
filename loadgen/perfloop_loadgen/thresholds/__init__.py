"""Gates: what must hold for a run, and whether its numbers can be judged at all."""
