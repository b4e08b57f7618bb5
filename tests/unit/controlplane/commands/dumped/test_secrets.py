"""controlplane.commands.dumped.secrets: certificates by what they say."""

from __future__ import annotations

from datetime import timedelta

from controlplane.ca.authority import new_root, pem
from controlplane.commands.dumped.dump import Dump
from controlplane.commands.dumped.secrets import chosen, rows
from tests.support.dumps import dump


def test_rows() -> None:
    first, _ = new_root("one")
    other, _ = new_root("two")
    held = Dump(dump(pem(first) + pem(other)), "x").secrets()
    now = first.not_valid_after_utc - timedelta(days=1)
    titles, roots, leaf, second, late = rows(held, now)
    assert titles == [
        "RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER",
        "NOT BEFORE",
    ]  # fmt: skip
    assert roots == ["ROOTCA", "CA", "ACTIVE", "false", "-", "-", "-"]
    assert leaf == [
        "default", "Cert Chain", "ACTIVE", "true", f"{first.serial_number:x}",
        first.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        first.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
    ]  # fmt: skip
    assert second[4] == f"{other.serial_number:x}"
    assert late == ["kubernetes://late", "-", "WARMING", "false", "-", "-", "-"]
    _, _, expired, *_ = rows(held, first.not_valid_after_utc + timedelta(days=1))
    assert expired[3] == "false"


def test_what_is_no_certificate() -> None:
    held = Dump(dump(b"nonsense"), "x").secrets()
    (one,) = chosen(held, name="default")
    _, row = rows([one], new_root("x")[0].not_valid_before_utc)
    assert row == ["default", "Cert Chain", "ACTIVE", "false", "-", "-", "-"]
