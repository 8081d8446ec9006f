"""When requests start: one file for each load shape, every one a pure function of elapsed time."""
