"""Which filter chain takes a connection; what is asserted is what the stock Envoy does."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.differential.chains import CLOSED, ChainLab, Client, Scene
from tests.support.config import bootstrap, cluster
from tests.support.proxies import ENVOY, OURS, envoy_binary, mesh_binary

PORTS = Scene(
    "ports",
    """
    any:
    p443: {destination_port: 443, transport_protocol: tls}
    p444: {destination_port: 444, prefix_ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}]}
    """,
)
RANGES = Scene(
    "ranges",
    """
    wide: {prefix_ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}]}
    host: {prefix_ranges: [{address_prefix: 10.1.2.3, prefix_len: 32}]}
    net: {prefix_ranges: [{address_prefix: 10.1.2.3, prefix_len: 16},
                          {address_prefix: 'fe80::', prefix_len: 64}]}
    v6host: {prefix_ranges: [{address_prefix: 'fe80::1', prefix_len: 128}]}
    mapped: {prefix_ranges: [{address_prefix: '::ffff:9.0.0.0', prefix_len: 104}]}
    """,
)
NAMES = Scene(
    "names",
    """
    exact: {server_names: [www.example.com]}
    suffix: {server_names: ['*.example.com', API.org]}
    com: {server_names: ['*.com']}
    none: {transport_protocol: tls}
    default:
    """,
)
NO_WAY_BACK = Scene(
    "no_way_back",
    """
    exact_h2: {server_names: [a.com], application_protocols: [h2]}
    com: {server_names: ['*.com']}
    any:
    """,
)
ALPN = Scene(
    "alpn",
    """
    h2: {application_protocols: [h2]}
    http1: {application_protocols: [http/1.1, http/1.0]}
    any:
    """,
)
TRANSPORT = Scene(
    "transport",
    """
    tls: {transport_protocol: tls}
    raw: {transport_protocol: raw_buffer}
    """,
)
SOURCES = Scene(
    "sources",
    """
    local: {source_type: SAME_IP_OR_LOOPBACK}
    external_net: {source_type: EXTERNAL,
                   source_prefix_ranges: [{address_prefix: 9.0.0.0, prefix_len: 8}]}
    any:
    """,
)
SOURCE_PORTS = Scene(
    "source_ports",
    """
    ports: {source_ports: [100, 101]}
    net_port: {source_ports: [100],
               source_prefix_ranges: [{address_prefix: 9.0.0.0, prefix_len: 8}]}
    default:
    """,
)
DIRECT = Scene(
    "direct",
    """
    loopback_2: {direct_source_prefix_ranges: [{address_prefix: 127.0.0.2, prefix_len: 32}],
                 source_prefix_ranges: [{address_prefix: 1.0.0.0, prefix_len: 8}]}
    source: {source_prefix_ranges: [{address_prefix: 1.2.0.0, prefix_len: 16}]}
    """,
)
DEFAULT_ONLY = Scene("default_only", "default:\n")
# Envoy 1.40 adds no TLS inspector where criteria need one, and warns of nothing.
UNINSPECTED = Scene(
    "uninspected",
    "sni: {server_names: [a.com]}\nany:\n",
    filters=("proxy_protocol",),
)
HTTP = Scene(
    "http_inspector",
    """
    h2c: {application_protocols: [h2c]}
    http10: {application_protocols: [http/1.0]}
    http11: {application_protocols: [http/1.1]}
    any:
    """,
    filters=("proxy_protocol", "http_inspector"),
)

CASES: list[tuple[Scene, Client, str]] = [
    (PORTS, Client(to="10.0.0.1:80"), "any"),
    (PORTS, Client(to="10.0.0.1:443"), CLOSED),
    (PORTS, Client(to="10.0.0.1:443", tls=True), "p443"),
    (PORTS, Client(to="10.0.0.1:444"), "p444"),
    (PORTS, Client(to="11.0.0.1:444"), CLOSED),
    (RANGES, Client(to="10.9.9.9:1"), "wide"),
    (RANGES, Client(to="10.1.9.9:1"), "net"),
    (RANGES, Client(to="10.1.2.3:1"), "host"),
    (RANGES, Client(to="11.1.2.3:1"), CLOSED),
    (RANGES, Client(to="[fe80::2]:1", source="[fe80::9]:1"), "net"),
    (RANGES, Client(to="[fe80::1]:1", source="[fe80::9]:1"), "v6host"),
    (RANGES, Client(to="[fe81::1]:1", source="[fe80::9]:1"), CLOSED),
    (NAMES, Client(sni="www.example.com"), "exact"),
    (NAMES, Client(sni="WWW.Example.com"), "exact"),
    (NAMES, Client(sni="api.example.com"), "suffix"),
    (NAMES, Client(sni="a.b.example.com"), "suffix"),
    (NAMES, Client(sni="api.org"), "suffix"),
    (NAMES, Client(sni="example.com"), "com"),
    (NAMES, Client(sni="com"), "none"),
    (NAMES, Client(tls=True), "none"),
    (NAMES, Client(), "default"),
    (NO_WAY_BACK, Client(sni="a.com", alpn=("h2",)), "exact_h2"),
    (NO_WAY_BACK, Client(sni="a.com", alpn=("http/1.1",)), CLOSED),
    (NO_WAY_BACK, Client(sni="b.com", alpn=("http/1.1",)), "com"),
    (NO_WAY_BACK, Client(sni="b.org"), "any"),
    (ALPN, Client(alpn=("h2", "http/1.1")), "h2"),
    (ALPN, Client(alpn=("http/1.1", "h2")), "http1"),
    (ALPN, Client(alpn=("x", "h2")), "h2"),
    (ALPN, Client(alpn=("H2",)), "any"),
    (ALPN, Client(tls=True), "any"),
    (TRANSPORT, Client(tls=True), "tls"),
    (TRANSPORT, Client(), "raw"),
    (SOURCES, Client(source="127.0.0.1:9"), "local"),
    (SOURCES, Client(source="127.0.0.2:9"), CLOSED),
    (SOURCES, Client(source="10.0.0.1:9"), "local"),
    (SOURCES, Client(source="[::1]:9", to="[fe80::1]:1"), "local"),
    (SOURCES, Client(source="9.0.0.1:9"), "external_net"),
    (SOURCES, Client(source="8.0.0.1:9"), CLOSED),
    (SOURCE_PORTS, Client(source="1.1.1.1:101"), "ports"),
    (SOURCE_PORTS, Client(source="1.1.1.1:102"), "default"),
    (SOURCE_PORTS, Client(source="9.1.1.1:100"), "net_port"),
    (SOURCE_PORTS, Client(source="9.1.1.1:101"), "default"),
    (DIRECT, Client(source="1.2.3.4:5", bind="127.0.0.2"), "loopback_2"),
    (DIRECT, Client(source="2.2.3.4:5", bind="127.0.0.2"), CLOSED),
    (DIRECT, Client(source="1.2.3.4:5"), "source"),
    (DEFAULT_ONLY, Client(), "default"),
    (UNINSPECTED, Client(sni="a.com"), "any"),
    (UNINSPECTED, Client(sni="b.com"), "any"),
]
SCENES = list({id(scene): scene for scene, _, _ in CASES}.values())

# What Envoy refuses, and what it only seems to: the chains of a listener.
REFUSED = {
    "same": "a: {destination_port: 80}\nb: {destination_port: 80}\n",
    "no_criteria_twice": "a:\nb:\n",
    "names_in_another_case": "a: {server_names: [a.b]}\nb: {server_names: [x, A.B]}\n",
    "suffix_twice": "a: {server_names: ['*.b']}\nb: {server_names: ['.b']}\n",
    "one_name_twice": "a: {server_names: [a, a]}\n",
    "empty_name_is_none": "a: {server_names: ['']}\nb: {server_names: []}\n",
    "protocol_twice": "a: {application_protocols: [h2]}\nb: {application_protocols: [x, h2]}\n",
    "same_network": (
        "a: {prefix_ranges: [{address_prefix: 10.1.2.3, prefix_len: 8}]}\n"
        "b: {prefix_ranges: [{address_prefix: 10.9.0.0, prefix_len: 8}]}\n"
    ),
    "partial_wildcard": "a: {server_names: ['a*.b']}\n",
    "star": "a: {server_names: ['*']}\n",
    "port_zero": "a: {destination_port: 0}\n",
    "source_port_zero": "a: {source_ports: [0]}\n",
    "address_suffix": "a: {address_suffix: x}\n",
}
TAKEN = {
    "nested_networks": (
        "a: {prefix_ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}]}\n"
        "b: {prefix_ranges: [{address_prefix: 10.0.0.0, prefix_len: 9}]}\n"
    ),
    "type_and_none": "a: {source_type: EXTERNAL}\nb: {source_type: ANY}\n",
    "all_networks_and_none": (
        "a: {prefix_ranges: [{address_prefix: 0.0.0.0, prefix_len: 0}]}\nb:\n"
    ),
    "inner_star": "a: {server_names: ['*.*.b']}\n",
}

KINDS = [ENVOY, OURS]


@pytest.fixture(scope="module", params=KINDS)
def lab(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ChainLab]:
    """All scenes in one proxy."""
    lab = ChainLab(request.param, SCENES, tmp_path_factory.mktemp("chains"))
    yield lab
    lab.stop()


@pytest.mark.parametrize(
    ("scene", "client", "chain"), CASES, ids=[f"{s.id}-{n}" for n, (s, _, _) in enumerate(CASES)]
)
def test_chain(lab: ChainLab, scene: Scene, client: Client, chain: str) -> None:
    """The chain whose upstream answered."""
    assert lab.chain_of(scene, client.says()) == chain


def _verdict(argv: list[str], chains: str, folder: Path) -> tuple[int, str]:
    scene = Scene("listener", chains, filters=())
    names = {chain["name"] for chain in scene.listener(1)["filter_chains"]}
    path = folder / "bootstrap.yaml"
    path.write_text(bootstrap(9901, [scene.listener(10000)], [cluster(n, 1) for n in names]))
    argv = [*argv, "--mode", "validate", "-c", str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [*REFUSED, *TAKEN])
def test_verdict(kind: str, name: str, tmp_path: Path) -> None:
    """Overlapping chains, and what no chain can match, are refused."""
    argv = (
        [str(envoy_binary()), "-l", "critical"] if kind == ENVOY else [str(mesh_binary()), "proxy"]
    )
    code, said = _verdict(argv, (REFUSED | TAKEN)[name], tmp_path)
    assert code == (1 if name in REFUSED else 0), said
