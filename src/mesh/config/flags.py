"""The flags of `mesh proxy`: Envoy's. One we cannot honour is refused by name.

Written by hand because argparse would cost the sidecar a megabyte and the start 10 ms.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

LEVELS = ("trace", "debug", "info", "warning", "error", "critical", "off")
_SPELLINGS = {"warn": "warning", "err": "error"}


class FlagError(Exception):
    """A command line that cannot be followed; `str()` is for the person who wrote it."""


class Flag:
    """One flag: where its value goes and what it may be."""

    __slots__ = ("attribute", "choices", "help", "kind", "refused")

    def __init__(
        self,
        attribute: str,
        kind: str,
        about: str = "",
        choices: Sequence[str] = (),
        refused: str = "",
    ) -> None:
        self.attribute = attribute
        #: "text", "number", "switch" or "level".
        self.kind = kind
        self.help = about
        #: The values we can honour; others are refused.
        self.choices = choices
        #: Why it is refused, whatever its value.
        self.refused = refused


FLAGS: dict[str, Flag] = {
    "--config-path": Flag("config_path", "text", "bootstrap file: YAML or JSON"),
    "--config-yaml": Flag("config_yaml", "text", "bootstrap text, merged over --config-path"),
    "--mode": Flag("mode", "text", "serve (default), validate or init_only"),
    "--concurrency": Flag("concurrency", "number", "workers (default: CPUs this process may use)"),
    "--log-level": Flag("log_level", "level", "trace debug info warning error critical off"),
    "--component-log-level": Flag(
        "component_log_level", "text", "e.g. upstream:debug,config:trace"
    ),
    "--allow-unknown-static-fields": Flag(
        "allow_unknown_static",
        "switch",
        "leave out fields of the bootstrap that the API does not have, with a warning",
    ),
    "--allow-unknown-fields": Flag("allow_unknown_static", "switch", "the old name of that"),
    "--ignore-unknown-dynamic-fields": Flag(
        "ignore_unknown_dynamic", "switch", "leave them out of updates, too"
    ),
    "--file-flush-interval-msec": Flag(
        "file_flush_interval_msec", "number", "longest wait of an access log line (default 1000)"
    ),
    "--local-address-ip-version": Flag(
        "ip_version", "text", "v4 (default) or v6: whose own address is used", ("v4", "v6")
    ),
    "--log-format": Flag("log_format", "text", "spdlog's pattern of a line; %v is the message"),
    "--log-path": Flag("log_path", "text", "write the log to this file, not to stderr"),
    "--drain-time-s": Flag("drain_time_s", "number", "longest drain (default 600)"),
    "--drain-strategy": Flag(
        "drain_strategy", "text", "immediate or gradual: both act at once", ("immediate", "gradual")
    ),
    "--service-node": Flag("service_node", "text", "node id, over the bootstrap's"),
    "--service-cluster": Flag("service_cluster", "text", "node cluster, over the bootstrap's"),
    "--service-zone": Flag("service_zone", "text", "node zone, over the bootstrap's"),
    "--admin-address-path": Flag("admin_address_path", "text", "write the admin address here"),
    "--snapshot-path": Flag(
        "snapshot_path",
        "text",
        "ours: keep what xDS servers sent in this file, and start from it while they are down",
    ),
    "--version": Flag("version", "switch", "print the version"),
    "--help": Flag("help", "switch", "print this"),
    "--hot-restart-version": Flag("hot_restart_version", "switch", "print `disabled`"),
    # Without hot restart these have nothing to act on; Envoy's users pass them everywhere.
    "--disable-hot-restart": Flag("disable_hot_restart", "switch", "always so"),
    "--base-id": Flag("base_id", "number", "accepted: there is no hot restart to tell apart"),
    "--use-dynamic-base-id": Flag("use_dynamic_base_id", "switch", "accepted, as --base-id"),
    "--restart-epoch": Flag("restart_epoch", "number", "0", ("0",)),
    "--parent-shutdown-time-s": Flag("parent_shutdown_time_s", "number", "accepted, as --base-id"),
    "--skip-hot-restart-on-no-parent": Flag("skip_hot_restart", "switch", "accepted, as --base-id"),
    "--skip-hot-restart-parent-stats": Flag("skip_hot_restart", "switch", "accepted, as --base-id"),
    "--socket-path": Flag("socket_path", "text", "accepted, as --base-id"),
    "--socket-mode": Flag("socket_mode", "text", "accepted, as --base-id"),
    # Always so.
    "--cpuset-threads": Flag("cpuset_threads", "switch", "always so: the CPU set is respected"),
    "--reject-unknown-dynamic-fields": Flag("reject_unknown_dynamic", "switch", "the default"),
    "--log-format-escaped": Flag("log_format_escaped", "switch", "always so"),
    "--skip-deprecated-logs": Flag("skip_deprecated_logs", "switch", "always so"),
}

_NO_EXTENSION_LIST = "extensions cannot be switched off one by one"
REFUSED: dict[str, Flag] = {
    "--base-id-path": Flag("", "text", refused="there is no base id to write: no hot restart"),
    "--disable-extensions": Flag("", "text", refused=_NO_EXTENSION_LIST),
    "--enable-core-dump": Flag("", "switch", refused="set the limit with ulimit -c instead"),
    "--enable-fine-grain-logging": Flag("", "switch", refused="use --component-log-level"),
    "--enable-mutex-tracing": Flag("", "switch", refused="the workers share no mutex"),
    "--file-flush-min-size-kb": Flag("", "text", refused="not implemented yet"),
    "--log-stacktrace-single-entry": Flag("", "switch", refused="no stack traces are logged"),
    "--stats-tag": Flag("", "text", refused="not implemented yet"),
}
_SHORT = {"-c": "--config-path", "-l": "--log-level", "-h": "--help"}


class Options:
    """What the command line said, over Envoy's defaults."""

    def __init__(self) -> None:
        self.config_path = ""
        self.config_yaml = ""
        self.mode = "serve"
        #: 0: as many as this process may use.
        self.concurrency = 0
        self.log_level = "info"
        self.component_log_level = ""
        self.allow_unknown_static = False
        self.ignore_unknown_dynamic = False
        self.file_flush_interval_msec = 1000
        #: "": Envoy's default.
        self.log_format = ""
        self.log_format_escaped = False
        self.log_path = ""
        self.drain_time_s = 600
        self.drain_strategy = "gradual"
        self.service_node = ""
        self.service_cluster = ""
        self.service_zone = ""
        self.admin_address_path = ""
        self.snapshot_path = ""
        self.version = False
        self.help = False
        self.hot_restart_version = False
        self.disable_hot_restart = False
        self.base_id = 0
        self.use_dynamic_base_id = False
        self.restart_epoch = 0
        self.parent_shutdown_time_s = 900
        self.skip_hot_restart = False
        self.socket_path = "@envoy_domain_socket"
        self.socket_mode = "0"
        self.cpuset_threads = False
        self.reject_unknown_dynamic = False
        self.skip_deprecated_logs = False
        self.ip_version = "v4"

    def component_levels(self) -> list[tuple[str, str]]:
        """`--component-log-level` as (component, level)."""
        pairs = []
        for item in filter(None, self.component_log_level.split(",")):
            name, colon, text = item.partition(":")
            if not colon or not name:
                raise FlagError(
                    f"--component-log-level: '{item}' is not NAME:LEVEL, e.g. upstream:debug"
                )
            pairs.append((name, level("--component-log-level", text)))
        return pairs


def parse(argv: Sequence[str]) -> Options:
    """Reads the flags of `mesh proxy`. Raises FlagError."""
    options = Options()
    given: set[str] = set()
    words = list(argv)
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        name = _SHORT.get(name, name)
        flag = FLAGS.get(name) or REFUSED.get(name)
        if flag is None:
            raise FlagError(_unknown(word))
        if flag.refused:
            raise FlagError(f"{name} is not supported: {flag.refused}.")
        if name in given:
            raise FlagError(f"{name} is given twice.")
        given.add(name)
        if flag.kind == "switch":
            if equals:
                raise FlagError(f"{name} takes no value; '{value}' was given.")
            setattr(options, flag.attribute, True)
            continue
        if not equals:
            if not words:
                raise FlagError(f"{name} needs a value.")
            value = words.pop(0)
        setattr(options, flag.attribute, _value(name, flag, value))
    _check(options)
    return options


def level(name: str, text: str) -> str:
    """A log level by any of the names Envoy takes. Raises FlagError."""
    text = _SPELLINGS.get(text, text)
    if text not in LEVELS:
        raise FlagError(f"{name}: there is no level '{text}'. Levels: {' '.join(LEVELS)}.")
    return text


def usage() -> str:
    """What `mesh proxy --help` prints."""
    short = {long: f"{letter}, " for letter, long in _SHORT.items()}
    lines = ["usage: mesh proxy -c envoy.yaml [flags]", "", "Envoy's flags:"]
    for name, flag in FLAGS.items():
        value = "" if flag.kind == "switch" else f" <{flag.kind}>"
        lines.append(f"  {short.get(name, '') + name + value:<40} {flag.help}")
    lines += ["", "Refused, because they could not be honoured:"]
    lines += [f"  {name:<40} {flag.refused}" for name, flag in REFUSED.items()]
    return "\n".join(lines)


def _value(name: str, flag: Flag, text: str) -> str | int:
    if flag.choices and text not in flag.choices:
        able = " or ".join(flag.choices)
        raise FlagError(f"{name} {text} is not supported: fastmesh can do {able} only.")
    if flag.kind == "level":
        return level(name, text)
    if flag.kind == "number":
        if not (text.isascii() and text.isdigit()) or int(text) >= 2**32:
            raise FlagError(f"{name} needs a whole number from 0; '{text}' was given.")
        return int(text)
    return text


def _unknown(word: str) -> str:
    if not word.startswith("-"):
        return f"'{word}' is not a flag. A configuration file is given as: -c {word}"
    name = word.partition("=")[0]
    close = [flag for flag in FLAGS if name.strip("-") in flag or flag.startswith(name[:8])]
    hint = f" Did you mean {close[0]}?" if close else ""
    return f"there is no flag {name}.{hint} `mesh proxy --help` lists them."


def _check(options: Options) -> None:
    if options.mode not in {"serve", "validate", "init_only"}:
        raise FlagError(
            f"--mode: unknown mode '{options.mode}'. Modes: serve, validate, init_only."
        )
    if options.help or options.version or options.hot_restart_version:
        return
    if options.reject_unknown_dynamic and options.ignore_unknown_dynamic:
        raise FlagError(
            "--reject-unknown-dynamic-fields and --ignore-unknown-dynamic-fields exclude "
            "each other."
        )
    if not options.config_path and not options.config_yaml:
        raise FlagError("no configuration: give -c FILE or --config-yaml TEXT.")
    options.component_levels()
