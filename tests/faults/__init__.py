"""Fault tests: crashes, power cuts, concurrent histories.

The tests are short forms; `python -m tests.faults` runs the long ones.
"""
