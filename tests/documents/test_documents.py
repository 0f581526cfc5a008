"""Links of all Markdown files lead somewhere, CONTRIBUTING.md shows what the tests run, and the
guide lists every KPI.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from dev.pipeline import warehouse_tables

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "tests" / "e2e" / "new_dataset"


def documents() -> list[Path]:
    """Returns the Markdown files that git tracks or could add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return sorted(path for name in listed.stdout.splitlines() if (path := ROOT / name).exists())


def without_code(text: str) -> str:
    """Returns the text without code blocks and code spans."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def anchors(text: str) -> set[str]:
    """Returns the anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(document: Path) -> list[str]:
    """Returns the relative links that name no file, or no heading of it."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(document.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        if not target.exists() or (anchor and anchor not in anchors(target.read_text("utf-8"))):
            broken.append(link)
    return broken


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_have_targets(document: Path) -> None:
    assert broken_links(document) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    links = "[a](#a-title) [b](#missing) [c](none.md) [d](page.md#a-title) [e](https://x.example)"
    document.write_text(f"# A title\n\n{links} `[f](code.md)`\n")
    assert broken_links(document) == ["#missing", "none.md"]


@pytest.mark.parametrize("language", ["json", "sql"])
def test_the_example_of_contributing_is_what_the_tests_run(language: str) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    shown = re.findall(rf"^```{language}\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL)
    files = list(EXAMPLE.rglob(f"*.{language}"))
    assert files
    for file in files:
        assert file.read_text("utf-8").strip() in shown
        assert f"`{target(file)}`" in text


def target(file: Path) -> str:
    """Returns where a file of the example belongs in the project."""
    path = file.relative_to(EXAMPLE)
    folder = "crates/contracts" if path.parts[0] == "schemas" else "."
    return (Path(folder) / path).as_posix()


def test_the_guide_lists_every_kpi() -> None:
    text = (ROOT / "docs" / "guides" / "kpis.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(\w+\.\w+)` \|", text, re.MULTILINE)) == warehouse_tables()


def test_the_readme_is_short() -> None:
    assert 60 <= len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 100
