"""Types of the compiled core. `mesh.engine` alone imports it.

Configuration crosses this border as text (a file the user wrote) or as resource bytes (Envoy v3
protobufs); only Rust interprets either.
"""

from typing import TypeAlias, final

#: An xDS server and how it is spoken to: cluster, whether only changes are said (DELTA_GRPC),
#: `:authority` ("" for the cluster's name), initial metadata, whether the node is said in the first
#: message only, seconds of back-off between two streams (the first, the longest), bytes of the
#: largest message (None: 64 MiB).
ServerTuple: TypeAlias = tuple[
    str, bool, str, list[tuple[str, str]], bool, float, float, int | None
]

class ConfigError(ValueError):
    """A configuration was refused. `str()` is one line per problem, each with file:line:column
    (when it came from text), field path, reason and what to do.

    `problems` holds the same as tuples (file, line, column, field_path, reason); line and column
    are 1-based, 0 when unknown.
    """

    problems: list[tuple[str, int, int, str, str]]

@final
class Bootstrap:
    """`envoy.config.bootstrap.v3.Bootstrap`, read, validated and checked for what we implement."""

    body: bytes
    node_id: str
    node_cluster: str
    #: (host, port) of the admin listener, or None.
    admin_address: tuple[str, int] | None
    #: (name, resource bytes)
    static_listeners: list[tuple[str, bytes]]
    static_clusters: list[tuple[str, bytes]]
    static_secrets: list[tuple[str, bytes]]
    #: File subscriptions of dynamic_resources: (type_url, path, watched_directory or "",
    #: initial_fetch_timeout in seconds)
    dynamic: list[tuple[str, str, str, float]]
    #: Its subscriptions at servers: (type_url, initial_fetch_timeout in seconds, server; None: ADS)
    remote: list[tuple[str, float, ServerTuple | None]]
    #: `ads_config`
    ads: ServerTuple | None
    #: stats_flush_interval in seconds (default 5).
    stats_flush_interval: float
    #: The fields that the API does not have, if such are ignored: file:line:column, field path,
    #: reason.
    ignored: list[str]

    def node(self, node_id: str, cluster: str, zone: str) -> bytes:
        """The node as xDS servers are told of it, for `encode_request`. What is not empty replaces
        what the bootstrap says."""

def load_bootstrap(text: bytes, filename: str, ignore_unknown: bool) -> Bootstrap:
    """Reads YAML or JSON (JSON is read as YAML). `ignore_unknown`: leaves out fields that the API
    does not have. Raises ConfigError."""

def merge_bootstrap(base: Bootstrap, text: bytes, filename: str, ignore_unknown: bool) -> Bootstrap:
    """`--config-yaml` over `--config-path`, as protobuf's MergeFrom. Raises ConfigError."""

def validate(bootstrap: Bootstrap) -> None:
    """Compiles all static resources together, as Engine.apply would, and binds nothing
    (`--mode validate`). Raises ConfigError."""

def load_discovery_response(
    text: bytes, filename: str, type_url: str, ignore_unknown: bool
) -> tuple[str, list[tuple[str, bytes]], list[tuple[str, str, str]]]:
    """Reads a DiscoveryResponse in YAML, JSON or binary (`.pb`): (version_info, [(name, bytes)],
    [(name, field path, reason)]).

    The last are the resources of a text that have a name but cannot be made into bytes (an
    unknown field or extension, a wrong type), one tuple per problem: to be treated as those that
    `Engine.apply` refuses, not as absent. Raises ConfigError for what cannot be read at all; a
    resource that is readable but wrong is refused by `Engine.apply`.
    """

def to_json(type_url: str, body: bytes) -> str:
    """The resource as proto3 JSON with Envoy's field names (snake_case), secrets redacted."""

@final
class Applied:
    """What `Engine.apply` did."""

    #: Names whose new version is in use or warming.
    accepted: list[str]
    #: Names whose bytes did not change.
    unchanged: list[str]
    removed: list[str]
    #: (name, field path, reason): the last good version of these keeps serving.
    rejected: list[tuple[str, str, str]]
    #: Everything the configuration now refers to and that comes from files:
    #: (type_url, resource name, path, watched_directory or "", initial_fetch_timeout in seconds,
    #: stat scope: "cluster.<name>." for endpoints, "http.<stat_prefix>.rds.<route>." for routes,
    #: "sds.<name>." for secrets, "extension_config_discovery.http_filter.<name>." for extensions).
    #: The complete set each time, so the caller can start and stop subscriptions by comparing.
    wanted: list[tuple[str, str, str, str, float, str]]
    #: Another number means that `wanted` or `remote` is another; both are made anew at every look.
    revision: int
    #: The same for what comes from xDS servers: (type_url, resource name, initial_fetch_timeout in
    #: seconds, stat scope, server; None: ADS).
    remote: list[tuple[str, str, float, str, ServerTuple | None]]
    #: (type_url, resource name, directory): when something is moved into the directory, files
    #: that the resource names may have changed; offering the same bytes again reads them anew.
    #: The complete set each time.
    watched: list[tuple[str, str, str]]

@final
class Engine:
    """The data plane: workers, listeners, clusters, statistics. All methods return at once
    unless said otherwise and may be called from any thread."""

    def __init__(
        self,
        concurrency: int,
        drain_time: float,
        service_node: str,
        service_cluster: str,
        file_flush_interval: float,
        local_ipv6: bool,
    ) -> None:
        """Times are in seconds. `file_flush_interval`: how long a line of an access log waits for
        others at most."""

    def apply(
        self, type_url: str, updated: list[tuple[str, bytes]], removed: list[str], static: bool
    ) -> Applied:
        """Validates, compiles and swaps in. Good resources of a batch are applied even when
        others are refused (Envoy's partial application). `static`: from the bootstrap; such
        resources cannot be changed later."""

    def allow_ads(self) -> None:
        """The bootstrap has an ads_config: resources may name ADS as their source."""

    def introduce(self, bootstrap: Bootstrap) -> None:
        """Who the node is, for Istio's filters. Once, before there are listeners."""

    def bind_upstreams(self, bootstrap: Bootstrap) -> None:
        """Its cluster_manager.upstream_bind_config, for the clusters that are applied from now on
        and have none of their own."""

    def log_ejections(self, bootstrap: Bootstrap) -> None:
        """Opens its cluster_manager.outlier_detection.event_log_path, if it has one, for the
        clusters that are applied from now on. Raises OSError."""

    def grpc_calls(self) -> Calls:
        """gRPC calls for the caller's thread."""

    def fetch_timed_out(self, type_url: str, name: str) -> None:
        """initial_fetch_timeout passed: stop warming for this resource (Envoy: the cluster is
        warm and empty, the listener serves 404)."""

    def listeners(self) -> list[tuple[str, str, str]]:
        """(name, "ip:port" as bound, state: active | warming | draining)"""

    def clusters_json(self) -> str:
        """Envoy's `/clusters?format=json`."""

    def clusters_text(self) -> str: ...
    def certs_json(self) -> str:
        """Envoy's `/certs`: the certificates in use, without any keys."""

    def warming(self) -> list[tuple[str, str]]:
        """(type_url, name) of what still waits for something."""

    def drain_listeners(self, graceful: bool, inbound_only: bool) -> None: ...
    def fail_health_check(self, fail: bool) -> None:
        """Envoy's `/healthcheck/fail` and `/ok`: responses carry `connection: close` while
        failing."""

    def shutdown(self, drain_seconds: float) -> bool:
        """Stops accepting, drains, joins the workers; blocks (releases the GIL) until idle or
        the deadline. True if every connection ended by itself."""

    def active_connections(self) -> int: ...
    def reopen_logs(self) -> None: ...

    # -- statistics --
    def stats_text(self, filter: str | None, used_only: bool, kind: str) -> str:
        """Envoy's `/stats`. `kind`: All, Counters, Gauges, Histograms, TextReadouts. `filter` is
        a regular expression; ValueError if it does not compile."""

    def stats_json(self, filter: str | None, used_only: bool, kind: str) -> str: ...
    def stats_prometheus(self, filter: str | None, used_only: bool) -> str: ...
    def reset_counters(self) -> None: ...
    def count(self, name: str, delta: int) -> None:
        """Adds to a counter of the control side, e.g. `listener_manager.lds.update_success`."""

    def gauge(self, name: str, value: int) -> None: ...
    def text_readout(self, name: str, value: str) -> None: ...
    def flush_histograms(self) -> None:
        """Closes the interval of every histogram (call every stats_flush_interval)."""

@final
class Calls:
    """gRPC calls to clusters of the configuration: their load balancing, TLS, limits and
    statistics hold. For one thread, which polls `fileno`. Nothing blocks."""

    def fileno(self) -> int:
        """Readable when `read` has something to say."""

    def open(
        self,
        cluster: str,
        path: str,
        authority: str,
        metadata: list[tuple[str, str]],
        timeout: float,
        max_message: int | None,
    ) -> int:
        """Begins a call of `/package.Service/Method` and returns its number. `authority`: "" for
        the cluster's name. `timeout`: seconds for all of it; 0 for no end. `max_message`: bytes of
        the largest message that is taken (None: 64 MiB, and no more than that)."""

    def send(self, call: int, message: bytes, end: bool) -> bool:
        """Sends a message; `end`: the last one. False: the call is over, or 64 MiB wait to be sent
        already; then it was not taken."""

    def finish(self, call: int) -> None:
        """No more messages will be sent."""

    def cancel(self, call: int) -> None:
        """Gives a call up; nothing is heard of it any more."""

    def read(self) -> list[tuple[int, str, bytes, int, str]]:
        """What came since the last time, without blocking: (call, "open", b"", 0, ""): the server
        has taken it; (call, "message", bytes, 0, ""); (call, "closed", b"", gRPC status, text):
        it is over, and nothing follows. What is not read is not asked of the server for long: 1 MiB
        of messages and the windows of its stream."""

def decode_response(
    message: bytes, ignore_unknown: bool
) -> tuple[str, str, str, str, list[tuple[str, str, bytes | None, float]], list[str], str]:
    """Reads a DiscoveryResponse: type URL, version_info, nonce, identifier of the control plane,
    resources as (name, version of its own or "", body or None in a heartbeat, TTL in seconds or 0),
    removed names (none), why it cannot be taken at all or "". `ignore_unknown`: leaves out fields
    of resources that the API does not have. ValueError: it is no such message."""

def decode_delta_response(
    message: bytes, ignore_unknown: bool
) -> tuple[str, str, str, str, list[tuple[str, str, bytes | None, float]], list[str], str]:
    """The same of a DeltaDiscoveryResponse."""

def encode_request(
    node: bytes, type_url: str, version: str, nonce: str, names: list[str], error: str
) -> bytes:
    """A DiscoveryRequest. `node`: b"" for none; `error`: "" for an ACK."""

def encode_delta_request(
    node: bytes,
    type_url: str,
    nonce: str,
    subscribe: list[str],
    unsubscribe: list[str],
    versions: list[tuple[str, str]],
    error: str,
) -> bytes:
    """A DeltaDiscoveryRequest. `versions`: initial_resource_versions."""

def holds_secrets(type_url: str, body: bytes) -> bool:
    """Whether a resource has a secret in it, and not only the name of a file that has."""

@final
class Watcher:
    """inotify on directories: what is moved into them (IN_MOVED_TO), nothing else, as Envoy."""

    def __init__(self) -> None: ...
    def fileno(self) -> int:
        """Readable when `read` has something to say."""

    def add(self, directory: str) -> None:
        """Idempotent. OSError if there is no such directory."""

    def remove(self, directory: str) -> None:
        """Does nothing if it is not watched."""

    def read(self) -> list[tuple[str, str]]:
        """(directory as given to `add`, name) of what was moved in since the last call, without
        blocking. ("", "") if the kernel's queue overflowed: anything may have changed."""

def log(level: str, component: str, message: str) -> None:
    """Writes a line to stderr in Envoy's log format if `level` passes."""

def set_log_level(component: str, level: str) -> bool:
    """`component` "" is all. False if there is no such component."""

def set_log_format(pattern: str) -> bool:
    """spdlog's pattern of a line (`--log-format`). False: something was logged before. Raises
    ValueError for what is not supported."""

def log_levels() -> dict[str, str]: ...
def parse_request_head(
    buf: bytes,
) -> tuple[int, str, str, list[tuple[str, str]], int] | None:
    """The data plane's own strict parser, for the admin port: (bytes of the head, method, target,
    headers, body length or -1 for chunked); None if incomplete; ValueError says why not."""

def release_memory() -> None:
    """Gives back what reading a configuration took and left free. Takes milliseconds."""

VERSION: str
