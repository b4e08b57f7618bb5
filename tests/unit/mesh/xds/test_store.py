"""mesh.xds.store"""

from __future__ import annotations

import re

from mesh import api
from mesh.xds.store import Store, timestamp


def test_an_accepted_version_ends_the_failure_of_the_last() -> None:
    store = Store()
    store.put(api.LISTENER, "a", b"1", "v1")
    store.fail(api.LISTENER, "a", b"2", "v2", "why")
    held, failed = store.snapshot(api.LISTENER)
    assert (held["a"].body, failed["a"].details, failed["a"].version) == (b"1", "why", "v2")
    store.put(api.LISTENER, "a", b"3", "v3")
    assert store.snapshot(api.LISTENER)[1] == {}


def test_static_resources_are_no_part_of_what_updates_replace() -> None:
    store = Store()
    store.put(api.CLUSTER, "static", b"1", static=True)
    store.put(api.CLUSTER, "dynamic", b"2")
    assert store.bodies(api.CLUSTER) == {"dynamic": b"2"}


def test_a_snapshot_does_not_change() -> None:
    store = Store()
    store.put(api.CLUSTER, "a", b"1")
    held, _ = store.snapshot(api.CLUSTER)
    store.drop(api.CLUSTER, "a")
    assert "a" in held


def test_times_are_protobufs() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", timestamp())


def test_the_newest_is_what_was_offered_last() -> None:
    store = Store()
    assert store.newest(api.SECRET, "s") == (b"", "")
    store.put(api.SECRET, "s", b"good", "1")
    assert store.newest(api.SECRET, "s") == (b"good", "1")
    store.fail(api.SECRET, "s", b"bad", "2", "why")
    assert store.newest(api.SECRET, "s") == (b"bad", "2")
    store.fail(api.SECRET, "s", b"", "3", "no such message")
    assert store.newest(api.SECRET, "s") == (b"good", "1")
