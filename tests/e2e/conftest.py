"""One local cloud for all end-to-end tests, with its own ports and folder beside a running demo."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from dev.pipeline import SCHEMAS, SQL, Cloud, Pipeline, Shop, free_port  # noqa: E402

HERE = Path(__file__).resolve().parent

# Modules that fill the lake run late, because others count all of its objects. The last one checks
# the calls of all others.
LAST = (
    "test_stockouts",
    "test_hostile_shop",
    "test_redrive",
    "test_replay",
    "test_chaos",
    "test_outages",
    "test_three_hostile_shops",
    "test_calls",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders the modules: oracle and single paths, then long runs, then the recorded calls."""
    items.sort(key=lambda item: LAST.index(item.path.stem) + 1 if item.path.stem in LAST else 0)


@pytest.fixture(scope="session")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Copies the project's schemas and SQL and adds those of `new_dataset/`."""
    folder = tmp_path_factory.mktemp("definitions")
    schemas, sql = folder / "schemas", folder / "glue-sql"
    shutil.copytree(SCHEMAS, schemas)
    shutil.copytree(SQL, sql)
    shutil.copytree(HERE / "new_dataset" / "schemas", schemas, dirs_exist_ok=True)
    shutil.copytree(HERE / "new_dataset" / "glue-sql", sql, dirs_exist_ok=True)
    return schemas, sql


@pytest.fixture(scope="session")
def pipeline(definitions: tuple[Path, Path]) -> Iterator[Pipeline]:
    """Deploys the pipeline."""
    cloud = Cloud(ROOT / ".local" / "e2e", free_port(), free_port())
    try:
        yield Pipeline.deploy(cloud, *definitions)
    finally:
        cloud.down()


@pytest.fixture(scope="module")
def shop(pipeline: Pipeline, request: pytest.FixtureRequest) -> Shop:
    """Adds a tenant for the tests of one module."""
    return pipeline.add_shop(request.module.__name__.rpartition("_")[2])


@pytest.fixture(scope="session")
def sales_days() -> Path:
    """Returns days of sales in the layout of UCI's "Online Retail": the real ones if SHARED_DATA
    names their folder, or a few lines with the same kinds of invalid rows.
    """
    shared = os.environ.get("SHARED_DATA")
    return Path(shared) / "online-retail" if shared else HERE / "sales_days"
