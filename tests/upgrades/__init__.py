"""Stores created by earlier releases, and tests that each of them can be upgraded with all its contents.

`stores/<migration>/` contains one store of each kind, frozen by the release that has this as its last migration, and
`expected.json` with that release's responses. They never change. A later release that changes the schema freezes more
stores in a new directory (`python -m tests.upgrades.make`). `test_upgrade.py` restores and upgrades all of them.

`test_squashed.py` compares the schema of a fresh store with that of a store which was upgraded step by step.
"""
