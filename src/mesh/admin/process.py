"""/server_info, /memory, /logging, /reopen_logs, /quitquitquit, /hot_restart_version, /certs"""

from __future__ import annotations

import time

from mesh import api, engine
from mesh.admin.endpoint import JSON, Answer, BadRequest, Endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mesh.admin.endpoint import Process, Query

_LEVELS = ("trace", "debug", "info", "warning", "error", "critical", "off")
_LOGGING_USAGE = (
    "usage: /logging?<name>=<level> (change single level)\n"
    "usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)\n"
    "usage: /logging?level=<level> (change all levels)\n"
    f"levels: {' '.join(_LEVELS)} \n"
)


def server_info(process: Process, query: Query) -> Answer:
    """Version, state, uptime, command line, node."""
    import json

    options = process.options
    uptime = f"{int(time.monotonic() - process.started)}s"
    document = {
        "version": f"fastmesh/{engine.VERSION}/Clean/RELEASE/Rust",
        "state": process.state(),
        "uptime_current_epoch": uptime,
        "uptime_all_epochs": uptime,
        "hot_restart_version": "disabled",
        "hot_restart_initializing": False,
        "command_line_options": {
            "base_id": str(options.base_id),
            "concurrency": process.concurrency,
            "config_path": options.config_path,
            "config_yaml": options.config_yaml,
            "allow_unknown_static_fields": options.allow_unknown_static,
            "admin_address_path": options.admin_address_path,
            "local_address_ip_version": options.ip_version,
            "log_level": options.log_level,
            "component_log_level": options.component_log_level,
            "log_format": options.log_format or "[%Y-%m-%d %T.%e][%t][%l][%n] %v",
            "log_format_escaped": True,
            "log_path": options.log_path,
            "file_flush_interval": f"{options.file_flush_interval_msec / 1000:.3f}s",
            "skip_deprecated_logs": options.skip_deprecated_logs,
            "service_cluster": options.service_cluster,
            "service_node": options.service_node,
            "service_zone": options.service_zone,
            "drain_time": f"{options.drain_time_s}s",
            "parent_shutdown_time": f"{options.parent_shutdown_time_s}s",
            "mode": {"serve": "Serve", "validate": "Validate", "init_only": "InitOnly"}[
                options.mode
            ],
            "disable_hot_restart": True,
            "restart_epoch": 0,
            "cpuset_threads": options.cpuset_threads,
            "reject_unknown_dynamic_fields": not options.ignore_unknown_dynamic,
            "ignore_unknown_dynamic_fields": options.ignore_unknown_dynamic,
            "drain_strategy": options.drain_strategy.capitalize(),
        },
        "node": {
            "id": options.service_node or process.bootstrap.node_id,
            "cluster": options.service_cluster or process.bootstrap.node_cluster,
            "user_agent_name": "fastmesh",
        },
    }
    return Answer(json.dumps(document, indent=1) + "\n", JSON)


def memory(process: Process, query: Query) -> Answer:
    """Resident memory. There is no allocator of the kind that Envoy's other figures are about."""
    resident, anonymous = resident_bytes()
    body = f'{{\n "allocated": "{anonymous}",\n "heap_size": "{anonymous}",\n '
    return Answer(body + f'"total_physical_bytes": "{resident}"\n}}\n', JSON)


def resident_bytes(path: str = "/proc/self/statm") -> tuple[int, int]:
    """(resident bytes, those of them that are not backed by files)"""
    with open(path, "rb") as file:
        pages = file.read().split()
    resident, shared = int(pages[1]) * 4096, int(pages[2]) * 4096
    return resident, max(0, resident - shared)


def logging(process: Process, query: Query) -> Answer:
    """Shows or changes the log levels."""
    if len(query.pairs) > 1:
        raise _logging_error("invalid number of parameters")
    for name, value in query.pairs:
        if name == "paths":
            changes = [tuple(item.partition(":")[::2]) for item in value.split(",")]
        elif name == "level":
            changes = [("", value)]
        elif name == "group":
            raise _logging_error("groups of loggers are not implemented")
        else:
            changes = [(name, value)]
        _change_levels(changes)
    return Answer(_active_loggers())


def _change_levels(changes: list[tuple[str, ...]]) -> None:
    """All of them, or none."""
    known = engine.log_levels()
    for name, level in changes:
        if level not in _LEVELS:
            raise _logging_error("unknown logger level")
        if name and name not in known:
            raise _logging_error("unknown logger name")
    for name, level in changes:
        engine.set_log_level(name, level)


def _active_loggers() -> str:
    lines = [f"  {name}: {value}\n" for name, value in engine.log_levels().items()]
    return "active loggers:\n" + "".join(lines)


def _logging_error(what: str) -> BadRequest:
    return BadRequest(f"error: {what}\n\n{_LOGGING_USAGE}{_active_loggers()}")


def runtime(process: Process, query: Query) -> Answer:
    """The layers that the bootstrap names. None is acted on, so there are no entries."""
    import json

    bootstrap = json.loads(engine.to_json(api.BOOTSTRAP, process.bootstrap.body))
    layers = [one["name"] for one in bootstrap.get("layered_runtime", {}).get("layers", ())]
    return Answer(json.dumps({"layers": layers, "entries": {}}, indent=1) + "\n", JSON)


def reopen_logs(process: Process, query: Query) -> Answer:
    """After logrotate moved the files."""
    process.reopen_logs()
    return Answer("OK\n")


def quitquitquit(process: Process, query: Query) -> Answer:
    """Ends the process without draining, as Envoy does."""
    process.quit()
    return Answer("OK\n")


def hot_restart_version(process: Process, query: Query) -> Answer:
    """There is no hot restart."""
    return Answer("disabled")


def certs(process: Process, query: Query) -> Answer:
    """The certificates in use: of each TLS context what it trusts and what it shows."""
    import json

    document = json.loads(process.core.certs_json())
    return Answer(json.dumps(document, indent=1, ensure_ascii=False) + "\n", JSON)


ENDPOINTS = (
    Endpoint("/certs", "print certs on machine", certs),
    Endpoint(
        "/hot_restart_version", "print the hot restart compatibility version", hot_restart_version
    ),
    Endpoint(
        "/logging",
        "query/change logging levels",
        logging,
        mutates=True,
        parameters=(
            ("paths", "Change several levels: <logger1>:<level1>,<logger2>:<level2>"),
            ("level", f"Change all levels; One of ({', '.join(_LEVELS)})"),
        ),
    ),
    Endpoint("/memory", "print current allocation/heap usage", memory),
    Endpoint("/quitquitquit", "exit the server", quitquitquit, mutates=True),
    Endpoint("/reopen_logs", "reopen access logs", reopen_logs, mutates=True),
    Endpoint("/runtime", "print runtime values", runtime),
    Endpoint("/server_info", "print server version/status information", server_info),
)
