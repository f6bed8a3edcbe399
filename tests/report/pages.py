"""Opens pages in a browser that must neither ask for anything nor complain."""

import contextlib


@contextlib.contextmanager
def opener(browser, folder):
    """Gives a function that opens a report; at the end, checks that all was quiet."""

    def open_report(made, address=""):
        path = folder / "report.html"
        path.write_text(made.html, encoding="utf-8")
        browser.open(path, address)
        return browser

    yield open_report
    assert [url for url in browser.requests if not url.startswith("data:")][1:] == []
    assert browser.errors == []
