"""The discovery server's figures under istiod's names."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from controlplane.xds import type_urls

_SECONDS = (0.1, 0.5, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0)
_PUSH = (0.01, 0.1, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0)
_BYTES = (1.0, 10_000.0, 1_000_000.0, 4_000_000.0, 10_000_000.0, 40_000_000.0)


class Metrics:
    """One server's; each has a registry of its own, so that a process may hold several."""

    def __init__(self, version: str) -> None:
        self.registry = registry = CollectorRegistry()
        self.connected = Gauge(
            "pilot_xds", "Number of endpoints connected to this pilot using XDS.", ["version"],
            registry=registry,
        ).labels(version)  # fmt: skip
        self._pushes = Counter(
            "pilot_xds_pushes", "Responses sent, by type.", ["type"],
            registry=registry,
        )  # fmt: skip
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
        self._send_time = Histogram(
            "pilot_xds_send_time", "Total time in seconds Pilot takes to send generated"
            " configuration.", buckets=_PUSH, registry=registry,
        )  # fmt: skip
        self.send_time = self._send_time.observe
        self._sizes = Histogram(
            "pilot_xds_config_size_bytes",
            "Distribution of configuration sizes pushed to clients",
            ["type"],
            buckets=_BYTES,
            registry=registry,
        )
        self._rejects = Counter(
            "pilot_total_xds_rejects", "Total number of XDS responses from pilot rejected by"
            " proxy.", ["type"], registry=registry,
        )  # fmt: skip
        self._expired = Counter(
            "pilot_xds_expired_nonce", "Total number of XDS requests with an expired nonce.",
            ["type"], registry=registry,
        )  # fmt: skip
        self.internal_errors = Counter(
            "pilot_total_xds_internal_errors", "Total number of internal XDS errors in pilot.",
            registry=registry,
        )  # fmt: skip
        self.refused = Counter(
            "pilot_xds_refused_streams", "Streams that were not admitted, by reason.", ["reason"],
            registry=registry,
        )  # fmt: skip
        self.waiting = Gauge(
            "pilot_xds_waiting_streams", "Streams that wait for their first full state.",
            registry=registry,
        )  # fmt: skip
        self._pushes_of: dict[str, Counter] = {}
        self._sizes_of: dict[str, Histogram] = {}

    def pushed(self, type_url: str, size: int) -> None:
        """A response of this many bytes leaves."""
        pushes = self._pushes_of.get(type_url)
        if pushes is None:
            label = _label(type_url)
            pushes = self._pushes_of[type_url] = self._pushes.labels(label)
            self._sizes_of[type_url] = self._sizes.labels(label)
        pushes.inc()
        self._sizes_of[type_url].observe(size)

    def rejected(self, type_url: str) -> None:
        self._rejects.labels(_label(type_url)).inc()

    def expired_nonce(self, type_url: str) -> None:
        self._expired.labels(_label(type_url)).inc()

    def text(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self.registry)


def _label(type_url: str) -> str:
    """Clients choose type URLs; labels must not grow with what they choose."""
    known = type_url in type_urls.ORDER or type_url == type_urls.NAMES
    return type_urls.short(type_url) if known else "other"
