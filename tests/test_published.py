"""The figures that docs/published.md computes are those that its command prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "published.md"


def test_the_arithmetic_of_the_page_is_what_its_command_prints() -> None:
    section = PAGE.read_text("utf-8").split("## The arithmetic")[1]
    found = re.search(r"\$ python - <<'END'\n(.*?)\nEND\n(.*?)```", section, re.DOTALL)
    assert found
    program, printed = found.groups()
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert output == printed
