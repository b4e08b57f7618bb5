"""controlplane.ca.serving: when the control plane's own certificate is made anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from controlplane.ca.authority import load
from controlplane.ca.serving import ServingCertificate


def test_it_is_made_anew_at_half_its_life_and_when_the_clock_is_set_back(tmp_path: Path) -> None:
    authority = load(tmp_path)
    now = datetime.now(UTC)
    times = [now]
    own = ServingCertificate(lambda: authority, ("localhost",), clock=lambda: times[-1])
    first = own.current()

    def at(*, hours: float) -> bool:
        """Whether it is another one at that time."""
        before = own.current()
        times.append(now + timedelta(hours=hours))
        return own.current() is not before

    assert not at(hours=11)
    assert not at(hours=0)
    assert own.current() is first
    assert at(hours=12.5)
    assert not at(hours=13)
    # The machine had started with a clock that was half a day ahead: what was made then begins in
    # the others' future.
    assert at(hours=0.1)
    leaf = x509.load_pem_x509_certificate(own.current().chain)
    assert leaf.not_valid_before_utc <= now + timedelta(hours=0.1)
    # By less than what clocks differ it may go back.
    assert not at(hours=0.1 - 0.5 / 60)
