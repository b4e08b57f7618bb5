"""The life of `mesh proxy`: flags, bootstrap, core, admin port, configuration, serving, drain."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from mesh import api, engine
from mesh.admin.endpoints import ENDPOINTS
from mesh.admin.process import resident_bytes
from mesh.admin.server import Server
from mesh.config import flags, load
from mesh.config.concurrency import default_concurrency
from mesh.loop import Loop
from mesh.xds.filesystem import Session
from mesh.xds.intake import Intake, kind
from mesh.xds.store import Store, timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.xds.ads import Remote
    from mesh.xds.snapshot import Snapshot

#: How long a configuration has to stay as it is before what reading it took is given back.
_REST_SECONDS = 30.0
#: Values of the `server.state` gauge.
_STATES = {"LIVE": 0, "DRAINING": 1, "PRE_INITIALIZING": 2, "INITIALIZING": 3}
#: How often to look whether warming has ended, while it lasts (DNS answers arrive in the core).
_WARMING_SECONDS = 0.02


class Refused(Exception):
    """The configuration cannot be served; `str()` says what, where, why."""


class App:
    """One sidecar process: what the admin endpoints know as `Process`."""

    def __init__(self, options: flags.Options, bootstrap: engine.Bootstrap) -> None:
        self.options = options
        self.bootstrap = bootstrap
        self.started = time.monotonic()
        self.started_at = timestamp()
        self.concurrency = options.concurrency or default_concurrency()
        self.store = Store()
        self.loop = Loop()
        self.core = engine.Engine(
            self.concurrency,
            float(options.drain_time_s),
            options.service_node or bootstrap.node_id,
            options.service_cluster or bootstrap.node_cluster,
            options.file_flush_interval_msec / 1000,
            options.ip_version == "v6",
        )
        if bootstrap.ads is not None:
            self.core.allow_ads()
        self.core.bind_upstreams(bootstrap)
        self._log_ejections()
        self.core.introduce(bootstrap)
        self._intake = Intake(self.core, self.store)
        self._remote: Remote | None = None
        # Before files: what moves from a server to a file is let go of before it is read.
        self._intake.followers.append(self._follow_servers)
        self._watcher = engine.Watcher()
        self._session = Session(
            self._intake,
            self._watcher,
            self.loop,
            load.read,
            ignore_unknown=options.ignore_unknown_dynamic,
        )
        self._snapshot: Snapshot | None = None
        #: Listeners wait for the clusters that a server is to bring.
        self._listeners_wait = False
        self._admin: Server | None = None
        self._drain: threading.Thread | None = None
        self._state = "PRE_INITIALIZING"
        self._unhealthy = False
        self._stopping = False
        self._exit_code = 0
        #: `Store.changes` at the last time memory was given back.
        self._trimmed = 0
        #: `Store.changes` at the last flush that found it to have grown, and when that was.
        self._seen = (0, 0.0)

    # -- what the admin port sees --

    def state(self) -> str:
        if self._state == "LIVE" and self._unhealthy:
            return "DRAINING"
        return self._state

    def waiting(self) -> list[tuple[str, str]]:
        waiting = self._session.waiting() + self.core.warming()
        if self._remote is not None:
            waiting += self._remote.waiting()
        if self._listeners_wait:
            waiting.append((api.LISTENER, "dynamic_resources.lds_config"))
        return waiting

    def fail_health_check(self, fail: bool) -> None:
        self._unhealthy = fail
        self.core.fail_health_check(fail)

    def reopen_logs(self) -> None:
        if self.options.log_path:
            redirect_log(self.options.log_path)
        self.core.reopen_logs()

    def quit(self) -> None:
        self.loop.call(lambda: self.shut_down(0.0))

    def refresh_stats(self) -> None:
        resident, anonymous = resident_bytes()
        gauge = self.core.gauge
        gauge("server.uptime", int(time.monotonic() - self.started))
        gauge("server.state", _STATES[self.state()])
        gauge("server.live", int(self.state() == "LIVE"))
        gauge("server.memory_allocated", anonymous)
        gauge("server.memory_heap_size", anonymous)
        gauge("server.memory_physical_size", resident)
        gauge("server.total_connections", self.core.active_connections())

    # -- its life --

    def run(self) -> int:
        """Serves until told to end. Returns the exit code; raises Refused."""
        self.loop.on_signal(signal.SIGTERM, self._asked_to_end)
        self.loop.on_signal(signal.SIGINT, self._asked_to_end)
        self.loop.on_signal(signal.SIGUSR1, self.reopen_logs)
        self.loop.on_readable(
            self._watcher.fileno(), lambda: self._session.changed(self._watcher.read())
        )
        self.core.gauge("server.concurrency", self.concurrency)
        self.core.gauge("server.version", _version_number())
        self.core.gauge("server.hot_restart_epoch", 0)
        self._warn_of_unknown_fields()
        self._open_admin()
        try:
            self.configure()
            self._flush()
            self.loop.run()
        finally:
            if self._remote is not None:
                self._remote.close()
            if self._admin is not None:
                self._admin.close()
            if self._drain is not None:
                # It may still be waking the loop that it has just stopped.
                self._drain.join()
            self.loop.close()
        return self._exit_code

    def configure(self) -> None:
        """Secrets before clusters before listeners, static before dynamic. Raises Refused."""
        self._state = "INITIALIZING"
        files = {one[0]: one[1:] for one in self.bootstrap.dynamic}
        servers = {one[0]: one[1:] for one in self.bootstrap.remote}
        check_node(self.options, self.bootstrap)
        for path, watched, _ in files.values():
            where = watched or path
            if not os.path.exists(where):
                raise Refused(
                    f"dynamic_resources: '{where}' does not exist. The path of a "
                    "path_config_source must exist when the proxy starts."
                )
        self._apply_static(api.SECRET, self.bootstrap.static_secrets)
        self._apply_static(api.CLUSTER, self.bootstrap.static_clusters)
        if api.CLUSTER in files:
            self._session.subscribe(api.CLUSTER, *files[api.CLUSTER])
        elif api.CLUSTER in servers:
            self._servers().subscribe(api.CLUSTER, *servers[api.CLUSTER])
        self._apply_static(api.LISTENER, self.bootstrap.static_listeners)
        if self.options.snapshot_path and servers:
            from mesh.xds.snapshot import Snapshot

            path = self.options.snapshot_path
            self._snapshot = Snapshot(
                path, self._intake, self._servers(), self.loop, lambda: not self.waiting()
            )
        if api.LISTENER in files and api.CLUSTER not in servers:
            self._session.subscribe(api.LISTENER, *files[api.LISTENER])
        elif api.LISTENER in files or api.LISTENER in servers:
            self._listeners_wait = True
            self._start_listeners()
        self._see_whether_live()

    def _start_listeners(self) -> None:
        """Listeners come once the clusters that servers bring are there, as in Envoy."""
        if self._stopping:
            return
        if any(type_url == api.CLUSTER for type_url, _ in self.waiting()):
            self.loop.after(_WARMING_SECONDS, self._start_listeners)
            return
        self._listeners_wait = False
        for type_url, path, watched, timeout in self.bootstrap.dynamic:
            if type_url == api.LISTENER:
                self._session.subscribe(type_url, path, watched, timeout)
        for type_url, timeout, server in self.bootstrap.remote:
            if type_url == api.LISTENER:
                self._servers().subscribe(type_url, timeout, server)
                if self._snapshot is not None:
                    self._snapshot.began(type_url)

    def _servers(self) -> Remote:
        """What speaks to xDS servers; made, and its code loaded, when there are any."""
        if self._remote is None:
            from mesh.xds.ads import Remote

            calls = self.core.grpc_calls()
            options = self.options
            node = self.bootstrap.node(
                options.service_node, options.service_cluster, options.service_zone
            )
            self._remote = Remote(
                self._intake,
                calls,
                self.loop,
                node,
                self.bootstrap.ads,
                ignore_unknown=options.ignore_unknown_dynamic,
            )
            self.loop.on_readable(calls.fileno(), self._remote.readable)
        return self._remote

    def _follow_servers(self, applied: engine.Applied) -> None:
        if self._remote is not None or applied.remote:
            self._servers().follow(applied)

    def _warn_of_unknown_fields(self) -> None:
        for where in self.bootstrap.ignored:
            engine.log("warning", "config", f"{where}; ignored (--allow-unknown-static-fields)")
        self.core.count("server.static_unknown_fields", len(self.bootstrap.ignored))

    def shut_down(self, drain_seconds: float) -> None:
        """Drains on a thread of its own, so that signals and the admin port are still heard."""
        if self._stopping:
            return
        self._stopping = True
        self._state = "DRAINING"
        if self._remote is not None:
            self._remote.ending()

        def drain() -> None:
            clean = self.core.shutdown(drain_seconds)
            if not clean and drain_seconds > 0:
                engine.log("warning", "main", "drain time is over; closing what is left")
            self.loop.call(self.loop.stop)

        self._drain = threading.Thread(target=drain, name="drain", daemon=True)
        self._drain.start()

    def _apply_static(self, type_url: str, resources: list[tuple[str, bytes]]) -> None:
        if not resources:
            return
        applied = self.core.apply(type_url, resources, [], True)
        if applied.rejected:
            raise Refused(
                "\n".join(
                    f"{self.options.config_path or '--config-yaml'}: {kind(type_url)} '{name}'"
                    f"{': ' + field if field else ''}: {reason}"
                    for name, field, reason in applied.rejected
                )
            )
        for name, body in resources:
            self.store.put(type_url, name, body, static=True)
        self._intake.follow(applied)

    def _log_ejections(self) -> None:
        try:
            self.core.log_ejections(self.bootstrap)
        except OSError as error:
            raise Refused(
                "cluster_manager.outlier_detection.event_log_path: cannot open the file: "
                f"{error}. Name a file in a folder that is there and can be written to."
            ) from error

    def _open_admin(self) -> None:
        address = self.bootstrap.admin_address
        if address is None:
            return
        try:
            self._admin = Server(address, self, ENDPOINTS)
        except OSError as error:
            raise Refused(
                f"admin: cannot listen on {address[0]}:{address[1]}: {error.strerror}. "
                "Is another proxy running? Change admin.address in the bootstrap."
            ) from error
        self._admin.start()
        if self.options.admin_address_path:
            host, port = self._admin.address
            with open(self.options.admin_address_path, "w", encoding="utf-8") as file:
                file.write(f"{host}:{port}")

    def _see_whether_live(self) -> None:
        if self._stopping:
            return
        if self.waiting():
            self.loop.after(_WARMING_SECONDS, self._see_whether_live)
            return
        self._state = "LIVE"
        self._give_memory_back()
        took = time.monotonic() - self.started
        engine.log(
            "info",
            "main",
            f"all is initialised after {took * 1000:.0f} ms: "
            f"{len({name for name, _, _ in self.core.listeners()})} listeners, "
            f"{self.concurrency} workers",
        )
        if self.options.mode == "init_only":
            self.shut_down(0.0)

    def _flush(self) -> None:
        self.core.flush_histograms()
        self.refresh_stats()
        self._see_whether_at_rest()
        self.loop.after(self.bootstrap.stats_flush_interval, self._flush)

    def _see_whether_at_rest(self) -> None:
        """Giving memory back between changes that come one after the other would make each of them
        wait: descriptors and pages have to be there again."""
        changes, now = self.store.changes, self.loop.clock()
        if changes != self._seen[0]:
            self._seen = (changes, now)
        elif now - self._seen[1] >= _REST_SECONDS:
            self._give_memory_back()

    def _give_memory_back(self) -> None:
        """Reading a configuration takes several times the memory that it then needs."""
        if self.store.changes != self._trimmed:
            self._trimmed = self.store.changes
            engine.release_memory()

    def _asked_to_end(self) -> None:
        if self._stopping:
            engine.log("warning", "main", "a second signal: ending at once")
            os._exit(1)
        engine.log(
            "info",
            "main",
            f"draining, for {self.options.drain_time_s} s at most "
            f"({self.core.active_connections()} connections); a second signal ends at once",
        )
        self.shut_down(float(self.options.drain_time_s))


def check_node(options: flags.Options, bootstrap: engine.Bootstrap) -> None:
    """xDS servers tell proxies apart by their node. Raises Refused, in Envoy's words."""
    asks = ["ads"] if bootstrap.ads is not None else [one[0] for one in bootstrap.remote]
    node_id = options.service_node or bootstrap.node_id
    cluster = options.service_cluster or bootstrap.node_cluster
    if asks and not (node_id and cluster):
        raise Refused(
            f"{asks[0]}: node 'id' and 'cluster' are required. Set it either in 'node' config or "
            "via --service-node and --service-cluster options."
        )


def _version_number() -> int:
    """0.1.2 is 102: Envoy's gauge is a number, too (of its commit)."""
    major, minor, patch = (int(part) for part in engine.VERSION.split(".")[:3])
    return (major * 100 + minor) * 100 + patch


def redirect_log(path: str) -> None:
    """Makes file descriptor 2 the file: whatever logs, Rust or Python, goes there."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    os.dup2(fd, 2, inheritable=False)
    os.close(fd)


def main(argv: Sequence[str]) -> int:
    """`mesh proxy`. The exit code is Envoy's: 0, or 1 for a configuration that cannot be served."""
    try:
        options = flags.parse(argv)
    except flags.FlagError as error:
        return _refuse(str(error))
    if options.help:
        print(flags.usage())
        return 0
    if options.version:
        print(f"mesh  version: fastmesh/{engine.VERSION}/Clean/RELEASE/Rust")
        return 0
    if options.hot_restart_version:
        print("disabled")
        return 0
    try:
        _set_up_log(options)
        bootstrap = load.bootstrap(options)
        if options.mode == "validate":
            return _validated(options, bootstrap)
        return App(options, bootstrap).run()
    except flags.FlagError as error:
        return _refuse(str(error))
    except (load.Unreadable, engine.ConfigError, Refused) as error:
        # The words that people look for in Envoy's log.
        where = options.config_path or "--config-yaml"
        return _refuse(f"error initializing configuration '{where}':\n{error}")


def _validated(options: flags.Options, bootstrap: engine.Bootstrap) -> int:
    """`--mode validate`: compiles everything static, binds nothing."""
    check_node(options, bootstrap)
    engine.validate(bootstrap)
    print(f"configuration '{options.config_path}' OK")
    return 0


def _set_up_log(options: flags.Options) -> None:
    if options.log_path:
        try:
            redirect_log(options.log_path)
        except OSError as error:
            raise load.Unreadable(f"--log-path {options.log_path}: {error.strerror}") from error
    if options.log_format:
        try:
            engine.set_log_format(options.log_format)
        except ValueError as error:
            raise flags.FlagError(f"--log-format '{options.log_format}': {error}.") from error
    engine.set_log_level("", options.log_level)
    for component, level in options.component_levels():
        if not engine.set_log_level(component, level):
            raise flags.FlagError(
                f"--component-log-level: there is no component '{component}'. "
                f"Components: {' '.join(engine.log_levels())}."
            )


def _refuse(message: str) -> int:
    print(f"mesh proxy: {message}", file=sys.stderr)
    return 1
