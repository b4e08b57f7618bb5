"""What runs of the load generator send: one class for each of its commands."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

from bench.certificates import AUTHORITY


class AnyLoad(Protocol):
    #: The generator's command.
    command: ClassVar[str]

    @abstractmethod
    def arguments(self) -> list[str]: ...


@dataclass(frozen=True)
class Load(AnyLoad):
    """HTTP/1.1 requests; the only load with a fixed rate."""

    command: ClassVar[str] = "load"
    connections: int
    path: str = "/small"
    path_count: int = 1
    expect_body: int | None = None
    body_size: int = 0
    rate: int | None = None
    new_connections: bool = False
    tls: bool = False

    def arguments(self) -> list[str]:
        words = ["--connections", str(self.connections), "--path", self.path]
        words += ["--path-count", str(self.path_count)]
        if self.expect_body is not None:
            words += ["--expect-body", str(self.expect_body)]
        if self.body_size:
            words += ["--body-size", str(self.body_size)]
        if self.rate is not None:
            words += ["--rate", str(self.rate)]
        if self.tls:
            words += ["--ca", str(AUTHORITY)]
        if self.new_connections:
            words.append("--new-connection-per-request")
        return words


@dataclass(frozen=True)
class H2Load(AnyLoad):
    """HTTP/2 requests, so many at a time on each connection."""

    command: ClassVar[str] = "h2"
    connections: int
    streams: int = 1
    path: str = "/small"
    expect_body: int = 12
    tls: bool = False

    def arguments(self) -> list[str]:
        words = ["--connections", str(self.connections), "--streams", str(self.streams)]
        words += ["--path", self.path, "--expect-body", str(self.expect_body)]
        return words + (["--ca", str(AUTHORITY)] if self.tls else [])


@dataclass(frozen=True)
class GrpcLoad(AnyLoad):
    """gRPC calls: unary, or streams of so many `messages`, of which each counts as an answer."""

    command: ClassVar[str] = "grpc"
    connections: int
    streams: int
    message_size: int
    messages: int | None = None

    def arguments(self) -> list[str]:
        words = ["--connections", str(self.connections), "--streams", str(self.streams)]
        words += ["--message-size", str(self.message_size)]
        return words + (["--messages", str(self.messages)] if self.messages else [])


@dataclass(frozen=True)
class WebSocketLoad(AnyLoad):
    """Messages that come back."""

    command: ClassVar[str] = "websocket"
    connections: int
    size: int

    def arguments(self) -> list[str]:
        return ["--connections", str(self.connections), "--size", str(self.size)]


@dataclass(frozen=True)
class TcpLoad(AnyLoad):
    """Transfers of so many bytes, one way or the other."""

    command: ClassVar[str] = "tcp"
    connections: int
    size: int
    up: bool = False
    new_connections: bool = False

    def arguments(self) -> list[str]:
        words = ["--connections", str(self.connections), "--size", str(self.size)]
        if self.up:
            words.append("--up")
        if self.new_connections:
            words.append("--new-connection-per-request")
        return words


@dataclass(frozen=True)
class HandshakeLoad(AnyLoad):
    """TLS handshakes that carry nothing, all full or all resumed."""

    command: ClassVar[str] = "handshakes"
    connections: int
    resumed: bool = False

    def arguments(self) -> list[str]:
        words = ["--connections", str(self.connections), "--ca", str(AUTHORITY)]
        return words + (["--resumed"] if self.resumed else [])
