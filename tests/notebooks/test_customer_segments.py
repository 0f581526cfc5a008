"""The notebook finds the known groups of customers. The real models compute its features."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import nbformat
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from dev.paths import ROOT, SCHEMAS, SQL, target_dir

from . import customers

NOTEBOOK = ROOT / "infra" / "notebooks" / "customer_segments.ipynb"
MODEL = "customer_features"


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Computes the gold rows of `customer_features` from the groups' events."""
    folder = tmp_path_factory.mktemp("features")
    customers.write(folder / "events.ndjson")
    for file in definitions_of(MODEL):
        copy = folder / "glue-sql" / file.relative_to(SQL)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    binary = target_dir() / "debug" / "simulate"
    if not binary.exists():
        raise SystemExit(f"{binary} is missing: run `make build`")
    definitions = ("--sql", folder / "glue-sql", "--schemas", SCHEMAS)
    command = (binary, "--events", folder / "events.ndjson", "--out", folder / "lake", *definitions)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "lake" / "gold" / MODEL


def definitions_of(model: str) -> set[Path]:
    """Returns the file of a model, those of the models that it reads, and so on."""
    [file] = SQL.glob(f"*/{model}.sql")
    inputs = re.findall(r"\bgold\.(\w+)", file.read_text("utf-8"))
    return {file}.union(*map(definitions_of, inputs))


@pytest.fixture(scope="module")
def segments(features: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs the notebook for all shops; returns the folder of segments."""
    return run(features, tmp_path_factory.mktemp("all"))


def run(features: Path, folder: Path, **variables: str) -> Path:
    """Runs the whole notebook in its own kernel; returns the folder of segments."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        places = {"SHOPLAKE_FEATURES": str(features), "SHOPLAKE_SEGMENTS": str(folder / "segments")}
        homes = {
            name: str(folder / name)
            for name in ("IPYTHONDIR", "MPLCONFIGDIR", "JUPYTER_RUNTIME_DIR")
        }
        for name, value in (places | homes | variables).items():
            patch.setenv(name, value)
        NotebookClient(
            notebook,
            timeout=600,
            kernel_name="python3",
            resources={"metadata": {"path": str(folder)}},
        ).execute()
    return folder / "segments"


def files(segments: Path) -> dict[str, bytes]:
    """Returns the content of the files by name."""
    return {
        str(file.relative_to(segments)): file.read_bytes()
        for file in segments.rglob("*")
        if file.is_file()
    }


def groups(segments: Path, shop: str) -> dict[str, set[str]]:
    """Returns a shop's customers by the name of their segment."""
    [file] = (segments / f"shop_id={shop}").rglob("*.parquet")
    found = defaultdict(set)
    for row in pq.read_table(file, partitioning=None).to_pylist():
        assert row["shop_id"] == shop
        found[row["segment_name"]].add(row["customer_id"])
    return dict(found)


@pytest.mark.parametrize("shop", customers.groups())
def test_each_known_group_is_a_segment_of_its_name(segments: Path, shop: str) -> None:
    assert groups(segments, shop) == {
        name: set(ids) for name, ids in customers.groups()[shop].items()
    }


def test_every_customer_is_in_one_segment_of_the_newest_day(features: Path, segments: Path) -> None:
    rows = (
        ds.dataset(features, partitioning=None)
        .to_table(columns=["shop_id", "as_of_date", "customer_id"])
        .to_pylist()
    )
    newest: dict[str, object] = {}
    for row in rows:
        newest[row["shop_id"]] = max(
            row["as_of_date"], newest.get(row["shop_id"], row["as_of_date"])
        )
    want = sorted(
        (row["shop_id"], str(row["as_of_date"]), row["customer_id"])
        for row in rows
        if row["as_of_date"] == newest[row["shop_id"]]
    )
    got = ds.dataset(segments, partitioning=None).to_table().to_pylist()
    assert (
        sorted((row["shop_id"], str(row["as_of_date"]), row["customer_id"]) for row in got) == want
    )
    assert {file.rsplit("/", 1)[0] for file in files(segments)} == {
        f"shop_id={shop}/as_of_date={day}" for shop, day in newest.items()
    }
    assert newest["tiny"] != newest["acme"]


def test_segments_are_numbered_from_1_in_the_order_of_value(segments: Path) -> None:
    rows = ds.dataset(segments, partitioning=None).to_table().to_pylist()
    names = {row["segment"]: row["segment_name"] for row in rows if row["shop_id"] == "acme"}
    assert [names[number] for number in range(1, 4)] == [
        "champions",
        "recent, little so far",
        "lapsed",
    ]
    assert sorted(names) == [1, 2, 3, 4, 5]


def test_a_second_run_gives_the_same_files(features: Path, segments: Path, tmp_path: Path) -> None:
    assert files(run(features, tmp_path)) == files(segments)


def test_a_shop_alone_gets_the_same_segments(
    features: Path, segments: Path, tmp_path: Path
) -> None:
    alone = files(run(features, tmp_path, SHOPLAKE_SHOP="globex"))
    assert alone == {
        name: content
        for name, content in files(segments).items()
        if name.startswith("shop_id=globex/")
    }
    assert len(alone) == 1


def test_without_a_source_the_notebook_says_what_it_expects(tmp_path: Path) -> None:
    with pytest.raises(
        CellExecutionError, match="SHOPLAKE_FEATURES is not set: expected a folder or an S3 URI"
    ):
        run(Path(), tmp_path, SHOPLAKE_FEATURES="")


@pytest.mark.parametrize(
    "notebook", sorted((ROOT / "infra" / "notebooks").glob("*.ipynb")), ids=lambda path: path.name
)
def test_a_notebook_in_the_repository_has_no_outputs(notebook: Path) -> None:
    """Outputs would contain customers' data."""
    content = json.loads(notebook.read_text())
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"], cell["metadata"]) == ([], None, {}), (
                cell["id"]
            )
    assert content["metadata"]["language_info"] == {"name": "python"}
