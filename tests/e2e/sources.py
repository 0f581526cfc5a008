"""Sends data of one shop from all four sources, and keeps a copy for the oracle.

Of posted events the copy has those that the webhook accepted; of polled data it has the rows of the
sample source's APIs. The files are `<shop>/<dataset>/<name>.ndjson` in a folder, from which
`expected_from` computes the KPIs.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from dev.pipeline import Pipeline, Shop

from .oracle import Expected

SENDERS = {"web_traffic": "web", "crm_interactions": "crm"}


@dataclass(frozen=True)
class ShopSources:
    """The sources of one shop, with the same seed and products."""

    pipeline: Pipeline
    shop: Shop
    folder: Path
    seed: int
    products: int = 200

    def post(self, dataset: str, day: date, events: int, *arguments: str) -> int:
        """Posts a day of web traffic or CRM interactions; returns the number of accepted events,
        repetitions included.
        """
        settings = (*self._day(day, events), "--out", str(self._file(dataset, day)), *arguments)
        send = {
            "web": self.pipeline.send_web_events,
            "crm": self.pipeline.send_crm_interactions,
        }[SENDERS[dataset]]
        return send(self.shop, *settings)["accepted"]

    def dry_run(self, dataset: str, day: date, events: int) -> Path:
        """Writes the events that `post` would send and returns the file."""
        file = self._file(dataset, day)
        self._source(SENDERS[dataset], *self._day(day, events), "--dry-run", str(file))
        return file

    def pos(self, days: Sequence[date], rows_per_day: int, **settings: str) -> int:
        """Polls the sales of days; returns the number of lines."""
        size = (*self._world(), "--rows-per-day", str(rows_per_day))
        with self.pipeline.pos_api(*size) as api:
            for day in days:
                self.pipeline.run_pos_connector(self.shop.shop_id, api, str(day), **settings)
        return sum(self._keep("pos", "pos_sales", day, *size) for day in days)

    def inventory(self, days: Sequence[date], locations: int, **settings: str) -> int:
        """Polls the hourly snapshots of days; returns the number of levels."""
        size = (*self._world(), "--locations", str(locations))
        with self.pipeline.inventory_api(*size) as api:
            for day in days:
                self.pipeline.run_inventory_connector(
                    self.shop.shop_id, api, f"{day}T00", f"{day}T23", **settings
                )
        return sum(self._keep("inventory", "inventory_levels", day, *size) for day in days)

    def _day(self, day: date, events: int) -> tuple[str, ...]:
        return (*self._world(), "--events", str(events), "--date", str(day))

    def _world(self) -> tuple[str, ...]:
        return ("--seed", str(self.seed), "--products", str(self.products))

    def _keep(self, source: str, dataset: str, day: date, *size: str) -> int:
        file = self._file(dataset, day)
        self._source("dump", source, *size, "--date", str(day), "--out", str(file))
        # A connector skips rows that its source repeats.
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
    """Computes the KPIs from the files in a folder, of one shop or of all."""
    expected = Expected()
    for dataset in sorted(folder.glob(f"{shop_id}/*")):
        files = sorted(file for file in dataset.glob("*.ndjson") if file.stat().st_size)
        if files:
            expected.add_events(dataset.name, dataset.parent.name, files)
    return expected
