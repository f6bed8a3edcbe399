"""Opens pages of the site from the disk in Chromium, without a network, and tells of complaints."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

# One of each kind.
PAGES = (
    "index.html",
    "es/index.html",
    "es/course/index.html",
    "first_hour/learner.html",
    "reference/network.html",
    "gallery/digits.html",
    "search.html",
)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom"),
)


def find_chromium() -> str | None:
    """Returns where Chromium or Chrome is, or `None`."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


def console_errors(site: Path, browser: str) -> Iterator[str]:
    """Tells of pages that do not open, and of what they write to the console.

    Args:
        site: The folder of the built site.
        browser: Path of Chromium.
    """
    for name in PAGES:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            url = (site / name).resolve().as_uri()
            run = subprocess.run(
                [browser, *FLAGS, f"--user-data-dir={profile}", url],
                check=False,
                capture_output=True,
                text=True,
                timeout=120,
            )
        if "</html>" not in run.stdout:
            yield f"{name}: Chromium does not open it: {run.stderr[-300:]}"
        for message in re.findall(r"CONSOLE[:(]\d+\)?\] (?!\"\[PST\])(.*)", run.stderr):
            # What begins with [PST] is the theme telling what it does.
            yield f"{name}: {message}"
