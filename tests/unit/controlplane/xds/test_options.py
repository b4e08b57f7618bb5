"""Options that would open what must stay shut."""

from __future__ import annotations

import pytest

from controlplane.xds.options import Options, is_local


@pytest.mark.parametrize("address", ["127.0.0.1:15010", "[::1]:0", "localhost:1", "unix:/run/x"])
def test_local_addresses(address: str) -> None:
    assert is_local(address)
    Options(plaintext=address)


@pytest.mark.parametrize("address", ["0.0.0.0:15010", "[::]:0", "10.0.0.1:1", "istiod.svc:1", ":1"])
def test_plaintext_is_not_shown_to_the_network(address: str) -> None:
    assert not is_local(address)
    with pytest.raises(ValueError, match="bind it to 127"):
        Options(plaintext=address)
    with pytest.raises(ValueError, match="debug port"):
        Options(debug=address)


def test_ports_with_tls_need_certificates() -> None:
    with pytest.raises(ValueError, match=r"secure port .* needs a certificate"):
        Options(secure="0.0.0.0:15012")
    with pytest.raises(ValueError, match=r"join port .* needs a certificate"):
        Options(join="0.0.0.0:15013")
