"""Feeds one shop from all four sources, and keeps on disk what they handed over.

What was posted is what the sample source says was accepted; what was polled is what it says its
APIs hand out. A folder holds `<shop>/<dataset>/<name>.ndjson`; `expected_from` computes the KPIs
from it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from dev.pipeline import Pipeline, Shop

from .independent import Expected

FEEDS = {"web_traffic": "web", "crm_interactions": "crm"}


@dataclass(frozen=True)
class Feed:
    """The sources of one shop, which all know the same world: the one of this seed, with so many
    products.
    """

    pipeline: Pipeline
    shop: Shop
    folder: Path
    seed: int
    products: int = 200

    def post(self, dataset: str, day: date, events: int, *arguments: str) -> int:
        """Posts a day of web traffic or CRM interactions; returns how many were accepted, second
        copies included.
        """
        settings = (*self._day(day, events), "--out", str(self._file(dataset, day)), *arguments)
        send = {"web": self.pipeline.send_web_events, "crm": self.pipeline.send_crm_interactions}[
            FEEDS[dataset]
        ]
        return send(self.shop, *settings)["accepted"]

    def rehearse(self, dataset: str, day: date, events: int) -> Path:
        """Keeps what `post` would get accepted, for somebody else to post."""
        file = self._file(dataset, day)
        self._source(FEEDS[dataset], *self._day(day, events), "--dry-run", str(file))
        return file

    def pos(self, days: Sequence[date], rows_per_day: int, **settings: str) -> int:
        """Polls the sales of days; returns how many lines there are."""
        size = (
            "--seed",
            str(self.seed),
            "--products",
            str(self.products),
            "--rows-per-day",
            str(rows_per_day),
        )
        with self.pipeline.pos_api(*size) as api:
            for day in days:
                self.pipeline.run_pos_connector(self.shop.shop_id, api, str(day), **settings)
        return sum(self._keep("pos", "pos_sales", day, *size) for day in days)

    def inventory(self, days: Sequence[date], locations: int, **settings: str) -> int:
        """Polls the hourly snapshots of days; returns how many levels there are."""
        size = (
            "--seed",
            str(self.seed),
            "--products",
            str(self.products),
            "--locations",
            str(locations),
        )
        with self.pipeline.inventory_api(*size) as api:
            for day in days:
                self.pipeline.run_inventory_connector(
                    self.shop.shop_id, api, f"{day}T00", f"{day}T23", **settings
                )
        return sum(self._keep("inventory", "inventory_levels", day, *size) for day in days)

    def _day(self, day: date, events: int) -> tuple[str, ...]:
        return (
            "--seed",
            str(self.seed),
            "--products",
            str(self.products),
            "--events",
            str(events),
            "--date",
            str(day),
        )

    def _keep(self, source: str, dataset: str, day: date, *size: str) -> int:
        file = self._file(dataset, day)
        self._source("dump", source, *size, "--date", str(day), "--out", str(file))
        # A connector leaves out a row that its source hands out again.
        return len(set(file.read_bytes().splitlines()))

    def _file(self, dataset: str, day: date) -> Path:
        folder = self.folder / self.shop.shop_id / dataset
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{day}.ndjson"

    def _source(self, *arguments: str) -> None:
        subprocess.run(
            [self.pipeline.binaries / "sample-source", *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
        )


def expected_from(folder: Path, shop_id: str = "*") -> Expected:
    """The KPIs that follow from what is kept in a folder, of one shop or of all."""
    expected = Expected()
    for dataset in sorted(folder.glob(f"{shop_id}/*")):
        files = sorted(file for file in dataset.glob("*.ndjson") if file.stat().st_size)
        if files:
            expected.add_events(dataset.name, dataset.parent.name, files)
    return expected
