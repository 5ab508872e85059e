"""Headless Chromium for tests: Debian's own package, driven by playwright, which downloads no browser here."""

import contextlib
from collections.abc import Iterator
from typing import Any

from .programs import ensure_program

#: `--no-sandbox`: the tests may run as root. The other: nothing but the tests' own servers is asked for anything.
ARGUMENTS = ["--no-sandbox", "--disable-background-networking"]


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Start Chromium, yield playwright's Browser, and end it. Raises RuntimeError where it cannot be installed."""
    from playwright.sync_api import sync_playwright

    path = ensure_program("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS, headless=True)
        try:
            yield browser
        finally:
            browser.close()
