"""Headless Chromium for tests: Debian's own package, driven by playwright, which downloads no browser."""

import contextlib
from collections.abc import Iterator
from typing import Any

from .programs import ensure_program

#: `--no-sandbox` because the tests may run as root; the other so that only the tests' own servers are contacted.
ARGUMENTS = ["--no-sandbox", "--disable-background-networking"]


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Start Chromium, yield playwright's Browser, and close it. Raises RuntimeError if it cannot be installed."""
    from playwright.sync_api import sync_playwright

    path = ensure_program("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS, headless=True)
        try:
            yield browser
        finally:
            browser.close()
