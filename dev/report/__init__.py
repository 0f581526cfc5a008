"""The teams' report: in the terminal, and as a page that can be opened, printed and sent as it is."""

from __future__ import annotations

from pathlib import Path

from .page import page
from .read import read
from .terminal import summary


def report(warehouse_url: str, file: Path) -> None:
    """Reads the warehouse once, prints every team's KPIs and writes the page to `file`."""
    made = read(warehouse_url)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page(made), encoding="utf-8")
    print(summary(made))
    print(f"\nThe report with charts: {file.resolve().as_uri()}")
