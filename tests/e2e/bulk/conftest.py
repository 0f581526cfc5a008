"""Large volumes on their own local cloud, which batches as production does by default."""

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
"""The variables' defaults instead of local.tfvars, which prefers freshness to large batches, except
Firehose's wait (300 seconds). A shard accepts 1 MB a second.
"""


@pytest.fixture(scope="session")
def pipeline() -> Iterator[Pipeline]:
    """Deploys the pipeline."""
    cloud = Cloud(ROOT / ".local" / "bulk", free_port(), free_port())
    try:
        yield Pipeline.deploy(cloud, **SETTINGS)
    finally:
        cloud.down()
