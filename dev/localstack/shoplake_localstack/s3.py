"""S3 listings that read only the keys that they list.

For each listing, LocalStack 4.8.1 reads all objects of a bucket, which takes longer the more there
are. For a second page, it compares encoded keys with a raw one: boto3 asks for encoded keys, so the
page after `dt=2026-11-21`, encoded as `dt%3D2026-11-21`, is empty.
"""

from __future__ import annotations

import threading
from base64 import urlsafe_b64decode
from bisect import bisect_left
from contextvars import ContextVar
from typing import Any

from localstack.runtime import hooks

_AFTER_ALL = "\U0010ffff"
_asked: ContextVar[tuple[str, str] | None] = ContextVar("asked", default=None)
"""The prefix and the first key of the current listing."""


@hooks.on_infra_start()
def list_by_prefix() -> None:
    """Keeps the keys of buckets sorted, and gives a listing only its own keys."""
    from localstack.services.s3 import models, provider
    from localstack.utils.patch import patch

    models.KeyStore = _in_order(models.KeyStore, models.S3DeleteMarker)
    models.VersionedKeyStore = provider.VersionedKeyStore = _in_order(
        models.VersionedKeyStore, models.S3DeleteMarker
    )

    @patch(provider.S3Provider.list_objects_v2)
    def list_objects_v2(
        list_all: Any,
        self: Any,
        context: Any,
        continuation_token: str | None = None,
        **arguments: Any,
    ) -> Any:
        first = ""
        if continuation_token:
            first, arguments["start_after"] = (
                urlsafe_b64decode(continuation_token.encode()).decode(),
                None,
            )
        else:
            arguments["continuation_token"] = continuation_token
        before = _asked.set((arguments.get("prefix") or "", first))
        try:
            answer = list_all(self, context, **arguments)
        finally:
            _asked.reset(before)
        return answer | {"ContinuationToken": continuation_token} if continuation_token else answer


def _in_order(store: type, delete_marker: type) -> type:
    class SortedKeyStore(store):
        def __init__(self) -> None:
            super().__init__()
            self._keys: list[str] = []
            self._lock = threading.Lock()

        def set(self, object_key: str, s3_object: Any) -> None:
            with self._lock:
                if object_key not in self:
                    self._keys.insert(bisect_left(self._keys, object_key), object_key)
                super().set(object_key, s3_object)

        def pop(self, object_key: str, *version: Any, **default: Any) -> Any:
            with self._lock:
                was_there = object_key in self
                found = super().pop(object_key, *version, **default)
                if was_there and object_key not in self:
                    del self._keys[bisect_left(self._keys, object_key)]
                return found

        def values(self, with_versions: bool = False) -> list[Any]:
            asked = _asked.get()
            if with_versions or not asked:
                return super().values(with_versions)
            prefix, first = asked
            with self._lock:
                begin, end = (
                    bisect_left(self._keys, max(prefix, first)),
                    bisect_left(self._keys, prefix + _AFTER_ALL),
                )
                newest = [self.get(key) for key in self._keys[begin:end]]
            return [version for version in newest if not isinstance(version, delete_marker)]

    return SortedKeyStore
