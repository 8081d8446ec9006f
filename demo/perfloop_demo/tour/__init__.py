"""The tour: the closed loop shown end to end on the running stack, one plain line per step."""
