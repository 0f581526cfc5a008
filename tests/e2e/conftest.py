"""One local cloud for all end-to-end tests: its own ports and folder, so that a running demo is not
disturbed.
"""

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

# Those that fill the lake come last: what others count in the whole lake, they count object by
# object. And after them what looks at the calls that all others led to.
LAST = (
    "test_stockouts",
    "test_hostile_shop",
    "test_redrive",
    "test_replay",
    "test_chaos",
    "test_calls",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders the modules: yardstick and single paths as they come, then the long runs, then what
    all of them called.
    """
    items.sort(key=lambda item: LAST.index(item.path.stem) + 1 if item.path.stem in LAST else 0)


@pytest.fixture(scope="session")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The project's schemas and SQL plus those of `new_dataset/`: all that a new dataset takes."""
    folder = tmp_path_factory.mktemp("definitions")
    schemas, sql = folder / "schemas", folder / "glue-sql"
    shutil.copytree(SCHEMAS, schemas)
    shutil.copytree(SQL, sql)
    shutil.copytree(HERE / "new_dataset" / "schemas", schemas, dirs_exist_ok=True)
    shutil.copytree(HERE / "new_dataset" / "glue-sql", sql, dirs_exist_ok=True)
    return schemas, sql


@pytest.fixture(scope="session")
def pipeline(definitions: tuple[Path, Path]) -> Iterator[Pipeline]:
    """The deployed pipeline."""
    cloud = Cloud(ROOT / ".local" / "e2e", free_port(), free_port())
    try:
        yield Pipeline.deploy(cloud, *definitions)
    finally:
        cloud.down()


@pytest.fixture(scope="module")
def shop(pipeline: Pipeline, request: pytest.FixtureRequest) -> Shop:
    """A tenant that no other module's tests send anything for."""
    return pipeline.add_shop(request.module.__name__.rpartition("_")[2])


@pytest.fixture(scope="session")
def sales_days() -> Path:
    """Days of sales in the layout of the UCI data set "Online Retail": the real ones where
    SHARED_DATA says where they are, a few hand-made lines with the same dirt elsewhere.
    """
    shared = os.environ.get("SHARED_DATA")
    return Path(shared) / "online-retail" if shared else HERE / "sales_days"
