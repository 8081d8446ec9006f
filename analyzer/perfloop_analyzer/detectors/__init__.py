"""One algorithm per file, vectorised over all series at once; no I/O, no clock, time is an argument."""
