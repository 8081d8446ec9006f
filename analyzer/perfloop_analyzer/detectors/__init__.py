"""One algorithm per file, vectorized over all series of a signal; no I/O, no clock.

Arrays of values have the shape (series, points), equally spaced in time, NaN where there is no data. Arrays of one
number per series have the shape (series,).
"""
