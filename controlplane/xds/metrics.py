"""The discovery server's figures under istiod's names."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric

from controlplane.xds import type_urls

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECONDS = (0.1, 0.5, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0)
_PUSH = (0.01, 0.1, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0)
_LABELS = {url: type_urls.short(url) for url in (*type_urls.ORDER, type_urls.NAMES)}
_BYTES = (1.0, 10_000.0, 1_000_000.0, 4_000_000.0, 10_000_000.0, 40_000_000.0)


class Metrics:
    """One server's; each has a registry of its own, so that a process may hold several."""

    def __init__(self, version: str) -> None:
        self.registry = registry = CollectorRegistry()
        self.connected = Gauge(
            "pilot_xds", "Number of endpoints connected to this pilot using XDS.", ["version"],
            registry=registry,
        ).labels(version)  # fmt: skip
        self._pushes = Count(registry, "pilot_xds_pushes", "Responses sent, by type.", "type")
        self.convergence = Histogram(
            "pilot_proxy_convergence_time",
            "Delay in seconds between config change and a proxy receiving all required"
            " configuration.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.queue_time = Histogram(
            "pilot_proxy_queue_time",
            "Time in seconds, a proxy is in the push queue before being dequeued.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.debounce_time = Histogram(
            "pilot_debounce_time",
            "Delay in seconds between the first config enters debouncing and the merged push"
            " request is pushed into the push queue.",
            buckets=_PUSH,
            registry=registry,
        )
        self._sizes = Histogram(
            "pilot_xds_config_size_bytes",
            "Distribution of configuration sizes pushed to clients",
            ["type"],
            buckets=_BYTES,
            registry=registry,
        )
        self._rejects = Count(
            registry,
            "pilot_total_xds_rejects",
            "Total number of XDS responses from pilot rejected by proxy.",
            "type",
        )
        self._expired = Count(
            registry,
            "pilot_xds_expired_nonce",
            "Total number of XDS requests with an expired nonce.",
            "type",
        )
        self._internal = Count(
            registry,
            "pilot_total_xds_internal_errors",
            "Total number of internal XDS errors in pilot.",
        )
        self._refused = Count(
            registry,
            "pilot_xds_refused_streams",
            "Streams that were not admitted, by reason.",
            "reason",
        )
        self.waiting = Gauge(
            "pilot_xds_waiting_streams", "Streams that wait for their first full state.",
            registry=registry,
        )  # fmt: skip
        self._sizes_of: dict[str, Histogram] = {}

    def pushed(self, type_url: str, size: int) -> None:
        """A response of this many bytes leaves."""
        label = _label(type_url)
        sizes = self._sizes_of.get(label)
        if sizes is None:
            sizes = self._sizes_of[label] = self._sizes.labels(label)
        sizes.observe(size)
        self._pushes.add(label)

    def rejected(self, type_url: str) -> None:
        self._rejects.add(_label(type_url))

    def expired_nonce(self, type_url: str) -> None:
        self._expired.add(_label(type_url))

    def failed(self) -> None:
        """A query raised."""
        self._internal.add()

    def refused(self, reason: str) -> None:
        """A stream was not admitted."""
        self._refused.add(reason)

    def text(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self.registry)


class Count:
    """A counter with the name that istiod gives it: the library's own end in `_total`."""

    def __init__(self, registry: CollectorRegistry, name: str, about: str, label: str = "") -> None:
        self._name = name
        self._about = about
        self._label = label
        self._counts: Counter[str] = Counter()
        registry.register(self)

    def add(self, label: str = "") -> None:
        self._counts[label] += 1

    def collect(self) -> Iterator[Metric]:
        """What the library asks of a collector."""
        found = Metric(self._name, self._about, "unknown")
        for value, count in (self._counts or {"": 0} if not self._label else self._counts).items():
            found.add_sample(self._name, {self._label: value} if self._label else {}, count)
        yield found


def _label(type_url: str) -> str:
    """Clients choose type URLs; labels must not grow with what they choose."""
    return _LABELS.get(type_url, "other")
