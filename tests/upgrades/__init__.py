"""Stores made by earlier releases, and tests that each of them upgrades with everything in it.

`stores/<migration>/` holds stores frozen by the release whose last migration that is, one of each kind, and `expected.json`, what
that release answered about them. They never change: a later release that changes the schema freezes further stores in a
directory of its own (`python -m tests.upgrades.make`). `test_upgrade.py` restores and upgrades all of them.
"""
