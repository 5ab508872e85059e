"""Programs that clean up when a signal ends them."""

import contextlib
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import NoReturn

from .cluster import NoPostgreSQL


class Terminated(KeyboardInterrupt):
    """SIGTERM as an interrupt, so that servers and clusters are stopped before the program ends."""


def run_program(main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Run `main` with the command line's arguments and exit with its status. SIGTERM and Ctrl-C unwind it."""
    signal.signal(signal.SIGTERM, _interrupt)
    # A script's shell starts programs in the background with SIGINT ignored, which their children inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        try:
            sys.exit(main(sys.argv[1:]))
        except NoPostgreSQL as error:
            sys.exit(f"{error}")
    sys.exit(130)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise Terminated
