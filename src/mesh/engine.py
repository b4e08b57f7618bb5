"""The door to the compiled core: the only module that imports `mesh._fastpath`."""

from mesh._fastpath import (
    VERSION,
    Applied,
    Bootstrap,
    ConfigError,
    Engine,
    Watcher,
    load_bootstrap,
    load_discovery_response,
    log,
    log_levels,
    merge_bootstrap,
    parse_request_head,
    release_memory,
    set_log_level,
    to_json,
    validate,
)

__all__ = [
    "VERSION",
    "Applied",
    "Bootstrap",
    "ConfigError",
    "Engine",
    "Watcher",
    "load_bootstrap",
    "load_discovery_response",
    "log",
    "log_levels",
    "merge_bootstrap",
    "parse_request_head",
    "release_memory",
    "set_log_level",
    "to_json",
    "validate",
]
