"""mesh.accel.xxhash"""

from __future__ import annotations

import pytest

from mesh.accel.xxhash import xxh64


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0xEF46DB3751D8E999),
        (b"a", 0xD24EC4F1A98C6E5B),
        (b"abc", 0x44BC2CF5AD770999),
        (b"Nobody inspects the spammish repetition", 0xFBCEA83C8A378BF1),
        # Read from `cluster_manager.cds.version` and its like of the stock Envoy 1.40.
        (b"v1", 9194640092791331756),
        (b"l1", 4970902557933517970),
        (b"r1v", 14619429742385508682),
    ],
)
def test_known_hashes(data: bytes, expected: int) -> None:
    assert xxh64(data) == expected
