"""Istio's rules of protocol selection."""

import pytest

from controlplane.registry import protocols


@pytest.mark.parametrize(
    ("name", "protocol"),
    [
        ("http", "http"),
        ("http-web", "http"),
        ("HTTP2-x", "http2"),
        ("grpc", "grpc"),
        ("grpc-web", "grpc-web"),
        ("grpc-web-x", "grpc-web"),
        ("grpc-webby", "grpc"),
        ("https", "https"),
        ("tls-x", "tls"),
        ("tcp", "tcp"),
        ("mysql-db", "mysql"),
        ("httpweb", "auto"),
        ("auto", "auto"),
        ("", "auto"),
    ],
)
def test_by_name(name: str, protocol: str) -> None:
    assert protocols.of_port("TCP", name, "", 9080) == protocol


@pytest.mark.parametrize(
    ("transport", "name", "app_protocol", "number", "protocol"),
    [
        ("UDP", "http", "", 80, "udp"),
        ("", "tcp", "http", 80, "http"),
        ("TCP", "tcp", "kubernetes.io/h2c", 80, "http2"),
        ("TCP", "http", "example.com/mine", 80, "auto"),
        ("TCP", "", "", 3306, "tcp"),
        ("TCP", "http-mail", "", 25, "http"),
    ],
)
def test_app_protocol_and_transport_come_first(
    transport: str, name: str, app_protocol: str, number: int, protocol: str
) -> None:
    assert protocols.of_port(transport, name, app_protocol, number) == protocol


def test_words_of_service_entries() -> None:
    assert protocols.of_name("GRPC-WEB") == "grpc-web"
    assert protocols.of_name("") == "tcp"
    assert protocols.of_name("nonsense") == "tcp"
