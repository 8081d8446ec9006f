"""Measurements that add up: histograms, tallies, the book of a run."""
