"""Builds the site, English and Spanish, into output/site/ and checks it; warnings are errors.

    python3 run.py docs/build.py

What it makes opens from the disk: output/site/index.html. A second run takes less time, since
examples and pages of the course that have not changed are not run again; without docs/gallery/ and
output/ all are. With `--without-outputs` none is, so that their pages show code alone; tests run
them as well.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

DOCS = Path(__file__).parent
OUTPUT = DOCS.parent / "output"
STEPS = {
    "English": ["-b", "html", "-d", str(OUTPUT / "doctrees" / "en"), str(OUTPUT / "site")],
    "Spanish": [
        *("-b", "html", "-t", "es", "-d", str(OUTPUT / "doctrees" / "es")),
        str(OUTPUT / "site" / "es"),
    ],
    "what there is to translate": [
        *("-b", "gettext", "-t", "es", "-D", "language=en"),
        *("-d", str(OUTPUT / "doctrees" / "gettext")),
        str(OUTPUT / "gettext"),
    ],
}


def main() -> int:
    """Runs the steps and the checks, and returns the first exit status that is not 0."""
    parser = argparse.ArgumentParser(description="Builds the site and checks it.")
    parser.add_argument("--without-outputs", action="store_true", help="run no examples or cells")
    runs = not parser.parse_args().without_outputs
    settings = [] if runs else ["-D", "nb_execution_mode=off"]
    environment = os.environ | {"MPLBACKEND": "Agg", "JAXMLP_COMPILATION_CACHE": "off"}
    for folder in ("site", "gettext"):
        shutil.rmtree(OUTPUT / folder, ignore_errors=True)
    for name, (*options, folder) in STEPS.items():
        begin = time.monotonic()
        command = [sys.executable, "-m", "sphinx", "-n", "-W", "-a", "--keep-going", "-q"]
        # The other steps have no gallery.
        gallery = ["-D", "plot_gallery=0"] if name == "English" and not runs else []
        arguments = [*settings, *gallery, *options, str(DOCS), folder]
        status = subprocess.call([*command, *arguments], env=environment)
        print(f"{name}: {time.monotonic() - begin:.0f} s", flush=True)
        if status != 0:
            return status
    check = [sys.executable, str(DOCS / "check.py"), str(OUTPUT / "site")]
    return subprocess.call(check, env=environment)


if __name__ == "__main__":
    sys.exit(main())
