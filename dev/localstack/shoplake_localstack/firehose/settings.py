"""Reads a delivery stream's S3 configuration and rejects unsupported ones at creation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .prefix import PrefixError, evaluate

_EXTENSIONS = {"UNCOMPRESSED": "", "GZIP": ".gz"}


class SettingsError(ValueError):
    """A configuration that AWS rejects, or that the local cloud does not support."""


@dataclass(frozen=True)
class Settings:
    """The S3 destination of a delivery stream."""

    bucket: str
    prefix: str
    max_bytes: int
    max_seconds: float
    gzip: bool
    extension: str

    @classmethod
    def of(cls, configuration: Mapping[str, Any]) -> Settings:
        """Reads (Extended)S3DestinationConfiguration, with Firehose's defaults."""
        hints = configuration.get("BufferingHints") or {}
        compression = configuration.get("CompressionFormat") or "UNCOMPRESSED"
        if compression not in _EXTENSIONS:
            expected = f"expected {' or '.join(_EXTENSIONS)} in the local cloud"
            raise SettingsError(f"CompressionFormat: {expected}, got {compression}")
        _reject_unsupported(configuration)
        prefix = configuration.get("Prefix") or ""
        try:
            now = datetime.now(UTC)
            evaluate(prefix, now)
            evaluate(
                configuration.get("ErrorOutputPrefix") or "", now, error_type="processing-failed"
            )
        except PrefixError as error:
            raise SettingsError(str(error)) from error
        return cls(
            bucket=configuration["BucketARN"].rpartition(":")[2],
            prefix=prefix,
            max_bytes=_within("SizeInMBs", hints.get("SizeInMBs", 5), 1, 128) << 20,
            max_seconds=_within("IntervalInSeconds", hints.get("IntervalInSeconds", 300), 0, 900),
            gzip=compression == "GZIP",
            extension=configuration.get("FileExtension") or _EXTENSIONS[compression],
        )


def _reject_unsupported(configuration: Mapping[str, Any]) -> None:
    """Rejects settings that the local cloud would ignore and so write wrong data."""
    for name in (
        "ProcessingConfiguration",
        "DynamicPartitioningConfiguration",
        "DataFormatConversionConfiguration",
    ):
        if (configuration.get(name) or {}).get("Enabled"):
            raise SettingsError(f"{name}: not available in the local cloud")
    if (zone := configuration.get("CustomTimeZone") or "UTC") != "UTC":
        raise SettingsError(f"CustomTimeZone: expected UTC in the local cloud, got {zone}")


def _within(name: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise SettingsError(f"{name}: expected {least} to {most}, got {value}")
    return value
