"""Seconds as protobuf's Duration."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration


def duration(seconds: float) -> Duration:
    """To the microsecond: what people write as 0.1 s must not become 0.100000000000000005 s."""
    micros = round(seconds * 1_000_000)
    return Duration(seconds=micros // 1_000_000, nanos=micros % 1_000_000 * 1000)
