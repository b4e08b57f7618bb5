"""An xDS server for tests, over real gRPC: state of the world and delta, aggregated and not.

A test sets resources as dicts; every stream that wants them is told. What clients said is recorded.
"""

from __future__ import annotations

import itertools
import os
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# The tests fork processes while gRPC's threads run; its fork handlers would break those.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
from envoy.service.discovery.v3 import discovery_pb2 as pb

from mesh import api, engine
from tests.support.config import Tree, dump

#: The order in which a change is sent.
_ORDER = (api.CLUSTER, api.ENDPOINT, api.LISTENER, api.ROUTE, api.SECRET, api.EXTENSION)
_WHOLE = {api.CLUSTER, api.LISTENER}
_SERVICES = {
    "envoy.service.discovery.v3.AggregatedDiscoveryService": "AggregatedResources",
    "envoy.service.cluster.v3.ClusterDiscoveryService": "Clusters",
    "envoy.service.endpoint.v3.EndpointDiscoveryService": "Endpoints",
    "envoy.service.extension.v3.ExtensionConfigDiscoveryService": "ExtensionConfigs",
    "envoy.service.listener.v3.ListenerDiscoveryService": "Listeners",
    "envoy.service.route.v3.RouteDiscoveryService": "Routes",
    "envoy.service.secret.v3.SecretDiscoveryService": "Secrets",
}


class Stream:
    """One stream of a client."""

    def __init__(self, method: str) -> None:
        self.method = method
        #: All requests, as they came.
        self.requests: list[Any] = []
        self.events: queue.Queue[Any] = queue.Queue()
        #: By type: names that are wanted, what was sent and under which nonce.
        self.names: dict[str, set[str]] = {}
        self.sent: dict[str, dict[str, str]] = {}
        self.nonces: dict[str, str] = {}
        self.versions: dict[str, str] = {}


class ScriptedXds:
    """Use as a context manager. `port`: 0 for any; `epoch`: what its versions begin with."""

    def __init__(self, port: int = 0, credentials: Any = None, epoch: str = "") -> None:
        self._epoch = epoch
        self.streams: list[Stream] = []
        self.nacks: list[tuple[str, str]] = []
        #: (type, version or nonce) that clients have taken.
        self.acks: list[tuple[str, str]] = []
        self.metadata: list[dict[str, Any]] = []
        self._resources: dict[str, dict[str, tuple[str, bytes, float]]] = {t: {} for t in _ORDER}
        self._version: dict[str, int] = dict.fromkeys(_ORDER, 0)
        self._changed = threading.Condition()
        self._nonces = itertools.count(1)
        self._server = grpc.server(ThreadPoolExecutor(64), options=[("grpc.so_reuseport", 0)])
        for service, what in _SERVICES.items():
            handlers = {
                f"Stream{what}": self._handler(self._sotw, f"Stream{what}", pb.DiscoveryRequest),
                f"Delta{what}": self._handler(
                    self._delta, f"Delta{what}", pb.DeltaDiscoveryRequest
                ),
            }
            handler = grpc.method_handlers_generic_handler(service, handlers)
            self._server.add_generic_rpc_handlers((handler,))
        address = f"127.0.0.1:{port}"
        if credentials is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, credentials)

    def __enter__(self) -> ScriptedXds:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        for stream in self.streams:
            stream.events.put(None)
        self._server.stop(0).wait()

    # -- what it serves --

    def set(self, type_url: str, *resources: Tree, ttl: float = 0.0) -> None:
        """All resources of a type, as dicts."""
        tree = {"resources": [{"@type": type_url, **one} for one in resources]}
        text = dump(tree).encode()
        _, bodies, refused = engine.load_discovery_response(text, "test.yaml", type_url, False)
        assert not refused, refused
        self.put(type_url, dict(bodies), ttl)

    def put(self, type_url: str, bodies: dict[str, bytes], ttl: float = 0.0) -> None:
        """The same, as bytes."""
        with self._changed:
            self._version[type_url] += 1
            version = self._epoch + str(self._version[type_url])
            before = self._resources[type_url]
            self._resources[type_url] = {
                name: before[name]
                if name in before and before[name][1:] == (body, ttl)
                else (version, body, ttl)
                for name, body in bodies.items()
            }
        for stream in list(self.streams):
            stream.events.put("changed")

    def inject(self, stream: Stream, response: Any) -> None:
        """Sends a response as it is."""
        stream.nonces[response.type_url] = response.nonce
        stream.versions[response.type_url] = getattr(response, "version_info", "")
        stream.events.put((response,))

    # -- what clients said --

    def wait(self, what: str, is_there: Callable[[], Any], deadline: float = 20.0) -> Any:
        """Until something is true; its value."""
        found: list[Any] = []

        def look() -> bool:
            found[:] = [is_there()]
            return bool(found[0])

        with self._changed:
            if not self._changed.wait_for(look, deadline):
                raise AssertionError(f"waited in vain for {what}: nacks {self.nacks}")
        return found[0]

    def wait_ack(self, type_url: str, deadline: float = 20.0) -> None:
        """Until a client has taken the newest version of a type."""
        version = self._epoch + str(self._version[type_url])
        self.wait(
            f"ACK of {type_url} {version}", lambda: (type_url, version) in self.acks, deadline
        )

    def wait_nack(self, type_url: str) -> str:
        """The text of a refusal."""
        text: str = self.wait(
            f"NACK of {type_url}", lambda: next((m for t, m in self.nacks if t == type_url), "")
        )
        return text

    def requests(self, type_url: str) -> list[Any]:
        """All requests for a type, over all streams."""
        return [
            request
            for stream in self.streams
            for request in stream.requests
            if request.type_url == type_url
        ]

    # -- streams --

    def _handler(self, serve: Any, method: str, request: Any) -> Any:
        def run(requests: Iterator[Any], context: Any) -> Iterator[Any]:
            stream = Stream(method)
            self.metadata.append(dict(context.invocation_metadata()))

            def listen() -> None:
                try:
                    for one in requests:
                        stream.events.put(one)
                except Exception:  # noqa: BLE001 - the stream is over, whatever gRPC calls that
                    pass
                stream.events.put(None)

            with self._changed:
                self.streams.append(stream)
                self._changed.notify_all()
            threading.Thread(target=listen, daemon=True).start()
            while True:
                event = stream.events.get()
                if event is None:
                    return
                if isinstance(event, tuple):
                    yield event[0]
                    continue
                if event != "changed":
                    with self._changed:
                        stream.requests.append(event)
                yield from serve(stream, event)
                with self._changed:
                    self._changed.notify_all()

        return grpc.stream_stream_rpc_method_handler(
            run,
            request_deserializer=request.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    def _note(self, stream: Stream, request: Any) -> bool:
        """Records an answer. False: it is to an older response, or a refusal."""
        type_url, nonce = request.type_url, request.response_nonce
        if not nonce:
            return True
        with self._changed:
            if request.HasField("error_detail"):
                self.nacks.append((type_url, request.error_detail.message))
                return False
            if nonce != stream.nonces.get(type_url):
                return False
            self.acks.append((type_url, stream.versions[type_url]))
        return True

    def _snapshot(self, type_url: str) -> tuple[str, dict[str, tuple[str, bytes, float]]]:
        with self._changed:
            return self._epoch + str(self._version[type_url]), dict(self._resources[type_url])

    def _nonce(self, stream: Stream, type_url: str, version: str) -> str:
        nonce = str(next(self._nonces))
        stream.nonces[type_url] = nonce
        stream.versions[type_url] = version
        return nonce

    def _sotw(self, stream: Stream, event: Any) -> Iterator[Any]:
        if event == "changed":
            types = [one for one in _ORDER if one in stream.names]
        else:
            if event.response_nonce and event.response_nonce != stream.nonces.get(event.type_url):
                return
            self._note(stream, event)
            stream.names[event.type_url] = set(event.resource_names)
            types = [event.type_url]
        for type_url in types:
            version, resources = self._snapshot(type_url)
            if type_url not in _WHOLE:
                wanted = stream.names[type_url]
                resources = {n: one for n, one in resources.items() if n in wanted}
            sent = {name: one[0] for name, one in resources.items()}
            if not self._version[type_url] or sent == stream.sent.get(type_url):
                continue
            stream.sent[type_url] = sent
            if not sent and type_url not in _WHOLE:
                continue
            response = pb.DiscoveryResponse(
                version_info=version,
                type_url=type_url,
                nonce=self._nonce(stream, type_url, version),
            )
            response.control_plane.identifier = "test-server"
            for name, (_, body, ttl) in resources.items():
                any_ = response.resources.add()
                if ttl:
                    wrapper = pb.Resource(name=name, version=version)
                    wrapper.resource.type_url, wrapper.resource.value = type_url, body
                    wrapper.ttl.FromMilliseconds(int(ttl * 1000))
                    any_.Pack(wrapper)
                else:
                    any_.type_url, any_.value = type_url, body
            yield response

    def _delta(self, stream: Stream, event: Any) -> Iterator[Any]:
        again: set[str] = set()
        if event == "changed":
            types = [one for one in _ORDER if one in stream.names]
        else:
            type_url = event.type_url
            self._note(stream, event)
            if type_url not in stream.names:
                stream.names[type_url] = set()
                stream.sent[type_url] = dict(event.initial_resource_versions)
            again = set(event.resource_names_subscribe)
            stream.names[type_url] |= again
            stream.names[type_url] -= set(event.resource_names_unsubscribe)
            for name in event.resource_names_unsubscribe:
                stream.sent[type_url].pop(name, None)
            types = [type_url]
        for type_url in types:
            version, resources = self._snapshot(type_url)
            if type_url not in _WHOLE:
                wanted = stream.names[type_url]
                resources = {n: one for n, one in resources.items() if n in wanted}
            sent = stream.sent[type_url]
            removed = [name for name in sent if name not in resources]
            new = {n: one for n, one in resources.items() if sent.get(n) != one[0]}
            if not new and not removed:
                continue
            stream.sent[type_url] = {name: one[0] for name, one in resources.items()}
            response = pb.DeltaDiscoveryResponse(
                system_version_info=version,
                type_url=type_url,
                nonce=self._nonce(stream, type_url, version),
                removed_resources=removed,
            )
            response.control_plane.identifier = "test-server"
            for name, (own, body, ttl) in new.items():
                one = response.resources.add(name=name, version=own)
                one.resource.type_url, one.resource.value = type_url, body
                if ttl:
                    one.ttl.FromMilliseconds(int(ttl * 1000))
            yield response
