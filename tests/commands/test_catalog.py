"""`shoplake catalog` describes the definitions' tables without a deployment."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from dev.paths import ROOT, target_dir


def catalog(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs `shoplake catalog` with a target that does not exist."""
    return subprocess.run(
        [target_dir() / "debug" / "shoplake", "catalog", *words, "--target", folder / "none.json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_dictionary_is_printed(tmp_path: Path) -> None:
    done = catalog(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("# Data dictionary\n")
    assert "\n## gold.total_sales_by_region_product\n" in done.stdout
    assert done.stdout.endswith("|\n")


def test_tables_and_models_are_written_as_json(tmp_path: Path) -> None:
    tables, models = tmp_path / "catalog.json", tmp_path / "models.json"
    done = catalog(tmp_path, "--out", tables, "--models", models)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    written = json.loads(tables.read_text("utf-8"))
    index = json.loads(models.read_text("utf-8"))
    assert {model["name"] for model in index["models"]} == written["databases"]["gold"].keys()
    views = {view["warehouse"].split(".")[1] for view in index["views"]}
    assert views == written["views"].keys()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "models.json"
    done = catalog(tmp_path, "--models", file)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: cannot write {file}: ")
