"""Secrets: values are bytes that nothing shows."""

from controlplane.resources.hidden import Hidden
from controlplane.resources.schema import decode
from controlplane.resources.secret.schema import Secret


def test_values_are_bytes_and_never_show() -> None:
    value = {"kind": "Secret", "data": {"a": "czNjcmV0"}, "stringData": {"b": "pl41n"}}
    secret, problems = decode(Secret, value, "", strict=False)
    assert problems == []
    assert secret.value("a") == Hidden(b"s3cret")
    assert secret.value("b") == Hidden(b"pl41n")
    assert secret.value("c") is None
    assert repr(secret) == "Secret(type='', data={'a': ***}, string_data={'b': ***})"


def test_plain_text_wins() -> None:
    value = {"data": {"a": "czNjcmV0"}, "stringData": {"a": "new"}}
    secret, _ = decode(Secret, value, "", strict=False)
    assert secret.value("a") == Hidden(b"new")
