"""Turns a chapter of the course into its code: the cells, and the solution of its exercise."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
COURSE = ROOT / "docs" / "course"
INDEX = (COURSE / "index.md").read_text()
CHAPTERS = [COURSE / f"{name}.md" for name in re.findall(r"^(\d\d_\w+)$", INDEX, re.MULTILINE)]


def cells_of(path: Path) -> list[str]:
    """Returns the cells that are run when the page is built."""
    text = path.read_text()
    return re.findall(r"^```\{code-cell\} ipython3\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def solution_of(path: Path) -> str:
    """Returns the folded solution, which ends by checking itself."""
    (folded,) = re.findall(
        r"^````\{dropdown\}[^\n]*\n(.*?)^````$", path.read_text(), re.MULTILINE | re.DOTALL
    )
    (code,) = re.findall(r"^```python\n(.*?)^```$", folded, re.MULTILINE | re.DOTALL)
    return code
