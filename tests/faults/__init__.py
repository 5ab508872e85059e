"""Fault tests: crashes, power cuts, concurrent histories. Short forms are tests; `python -m tests.faults` runs the long ones."""
