"""Much data through a local cloud of its own, which batches as production does by default."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dev.pipeline import Cloud, Pipeline, free_port

from ..conftest import ROOT

SETTINGS = {
    "conform_batches": "{}",
    "dispatch_batches": "{}",
    "firehose_buffer_seconds": "30",
    "stream_shards": "4",
}
"""The variables' defaults, where local.tfvars prefers a second's freshness to fewer, larger batches. Firehose waits 30 seconds,
not 300, so that nobody has to. A shard takes 1 MB a second, here as on AWS."""


@pytest.fixture(scope="session")
def pipeline() -> Iterator[Pipeline]:
    """The deployed pipeline."""
    cloud = Cloud(ROOT / ".local" / "bulk", free_port(), free_port())
    try:
        yield Pipeline.deploy(cloud, **SETTINGS)
    finally:
        cloud.down()
