"""The gate before and after a deployment: `perfloop check`, the checklist for production as a program.

Each line asks one thing that the stack, its files or its stores can answer. What could not be asked is `unknown`, and
unknown is not passed.
"""
