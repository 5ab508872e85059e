"""`python -m tests.faults NAME [options]`: run the long form of a fault test (`make torture`).

NAME is a module in this package with a `main` function. Without a name, all of them run one after the other with their
defaults.
"""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.interrupts import run_program

#: In the order in which they run. Missing modules are left out.
PROGRAMS = ("linearizability", "crash", "powercut", "fuzz", "soak")


def main(arguments: Sequence[str]) -> int:
    here = [name for name in PROGRAMS if Path(__file__).with_name(f"{name}.py").exists()]
    if arguments and arguments[0] not in here:
        print(f"usage: python -m tests.faults [{'|'.join(here)}] [--help]", file=sys.stderr)
        return 2
    chosen, options = (here[:], []) if not arguments else ([arguments[0]], list(arguments[1:]))
    failed = []
    for name in chosen:
        print(f"=== {name}", flush=True)
        if importlib.import_module(f"tests.faults.{name}").main(options):
            failed.append(name)
    print(f"FAILED: {', '.join(failed)}" if failed else "All passed.", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    run_program(main)
