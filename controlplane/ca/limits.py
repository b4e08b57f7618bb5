"""How many certificates one workload may get: a fault or an attack must not fill the disk.

A workload is what a join token began: its certificates, each by the one before, share what it may
have. So a thousand replicas of a service account start at once, and one of them that asks all the
time uses up its own share only. Who comes by a service token shares that of the service account.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from time import monotonic

_PER_MINUTE = 30
_BURST = 60.0
_MOST = 100_000


@dataclass(slots=True)
class _Bucket:
    left: float
    counted: float


class Limits:
    """A bucket of tokens for each proof; those that were not seen for longest are forgotten."""

    def __init__(
        self, per_minute: int = _PER_MINUTE, clock: Callable[[], float] = monotonic
    ) -> None:
        self._per_second = per_minute / 60
        self._clock = clock
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def take(self, proof: Hashable) -> bool:
        """Whether its bearer may have one more."""
        now = self._clock()
        bucket = self._buckets.get(proof) or _Bucket(_BURST, now)
        bucket.left = min(_BURST, bucket.left + (now - bucket.counted) * self._per_second)
        bucket.counted = now
        self._hold(proof, bucket)
        if bucket.left < 1.0:
            return False
        bucket.left -= 1.0
        return True

    def inherit(self, heir: Hashable, proof: Hashable) -> None:
        """What is proved by `heir` from now on is counted with what was proved by `proof`."""
        bucket = self._buckets.get(proof)
        if bucket is not None:
            self._hold(heir, bucket)

    def _hold(self, proof: Hashable, bucket: _Bucket) -> None:
        self._buckets[proof] = bucket
        self._buckets.move_to_end(proof)
        if len(self._buckets) > _MOST:
            self._buckets.popitem(last=False)
