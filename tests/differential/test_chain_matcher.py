"""Which filter chain a `filter_chain_matcher` leads to; asserted is what the stock Envoy does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.differential.chains import CLOSED, ChainLab, Client, Scene
from tests.support.proxies import ENVOY, OURS

_INPUT = "type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3."
_MATCHER = "type.googleapis.com/xds.type.matcher.v3."


def _input(name: str) -> str:
    return f"{{name: {name}, typed_config: {{'@type': {_INPUT}{name}Input}}}}"


def _to(chain: str) -> str:
    """An action. (`keep_matching` ends Envoy 1.40 with a segmentation fault: not compared.)"""
    name = f"{{'@type': type.googleapis.com/google.protobuf.StringValue, value: {chain}}}"
    return f"{{action: {{name: chain, typed_config: {name}}}}}"


def _tree(tree: str) -> str:
    return f"{{matcher: {{matcher_tree: {tree}}}}}"


def _scene(name: str, matcher: str, chains: str = "{a: {}, b: {}, c: {}, default: {}}") -> Scene:
    return Scene(name, chains, more=f"filter_chain_matcher: {matcher}")


def _exact(name: str, of: str, **to: str) -> Scene:
    entries = ", ".join(f'"{key}": {_to(chain)}' for key, chain in to.items())
    tree = f"{{input: {_input(of)}, exact_match_map: {{map: {{{entries}}}}}}}"
    return _scene(name, f"{{matcher_tree: {tree}}}")


PORT = _exact("port", "DestinationPort", **{"80": "a", "443": "not_there"})
PROTOCOLS = _exact("protocols", "ApplicationProtocol", **{"'h2','http/1.1'": "a", "'h2'": "b"})
TRANSPORT = _exact("transport", "TransportProtocol", tls="a", raw_buffer="b")
SOURCE_TYPE = _exact("source_type", "SourceType", local="a")
PREFIX = _scene(
    "prefix",
    f"""{{matcher_tree: {{input: {_input("SourceIP")}, prefix_match_map: {{map: {{
        "10.": {_to("a")},
        "10.1": {_tree(f"{{input: {_input('SourcePort')}, exact_match_map: {{map: {{'7': {_to('b')}}}}}}}")},
        "10.1.1.": {_to("c")}}}}}}}}}""",
)
RANGES = _scene(
    "ranges",
    f"""{{matcher_tree: {{input: {_input("DestinationIP")}, custom_match: {{name: ip, typed_config: {{
        '@type': {_MATCHER}IPMatcher, range_matchers: [
          {{ranges: [{{address_prefix: 0.0.0.0}}], exclusive: true, on_match: {_to("c")}}},
          {{ranges: [{{address_prefix: 10.0.0.0, prefix_len: 8}}], on_match: {_to("a")}}},
          {{ranges: [{{address_prefix: 10.9.9.9, prefix_len: 16}},
                     {{address_prefix: 192.0.0.0, prefix_len: 8}}], on_match:
            {_tree(f"{{input: {_input('SourcePort')}, exact_match_map: {{map: {{'7': {_to('b')}}}}}}}")}}},
          {{ranges: [{{address_prefix: 'fe80::', prefix_len: 16}}], on_match: {_to("b")}}}
        ]}}}}}}}}""",
)
DOMAINS = _scene(
    "domains",
    f"""{{matcher_tree: {{input: {_input("ServerName")}, custom_match: {{name: names, typed_config: {{
        '@type': {_MATCHER}ServerNameMatcher, domain_matchers: [
          {{domains: ["*.com", Upper.org], on_match: {_to("a")}}},
          {{domains: [a.b.com, "*.b.com"], on_match:
            {_tree(f"{{input: {_input('SourcePort')}, exact_match_map: {{map: {{'7': {_to('b')}}}}}}}")}}},
          {{domains: ["*"], on_match: {_to("c")}}}
        ]}}}}}}}}""",
)


def _single(of: str, value: str) -> str:
    return f"{{single_predicate: {{input: {_input(of)}, value_match: {value}}}}}"


LIST = _scene(
    "list",
    f"""{{matcher_list: {{matchers: [
        {{predicate: {_single("ServerName", "{suffix: .example.com, ignore_case: true}")}, on_match:
          {_tree(f"{{input: {_input('SourcePort')}, exact_match_map: {{map: {{'7': {_to('a')}}}}}}}")}}},
        {{predicate: {{and_matcher: {{predicate: [
            {_single("ServerName", "{contains: ampl}")},
            {{not_matcher: {_single("ApplicationProtocol", "{contains: h2}")}}}]}}}}, on_match: {_to("b")}}},
        {{predicate: {{or_matcher: {{predicate: [
            {_single("SourceIP", "{safe_regex: {google_re2: {}, regex: '9[.].*'}}")},
            {{single_predicate: {{input: {_input("DirectSourceIP")}, custom_match: {{name: ip, typed_config: {{
              '@type': type.googleapis.com/envoy.extensions.matching.input_matchers.ip.v3.Ip,
              stat_prefix: ip, cidr_ranges: [{{address_prefix: 127.0.0.2, prefix_len: 32}}]}}}}}}}}
          ]}}}}, on_match: {_to("c")}}}
      ]}}, on_no_match: {_to("default")}}}""",
)
ABSENT = _scene(
    "absent",
    f"""{{matcher_list: {{matchers: [
        {{predicate: {{not_matcher: {_single("ServerName", "{prefix: a}")}}}, on_match: {_to("a")}}}
      ]}}}}""",
)
ALWAYS = _scene("always", f"{{on_no_match: {_to('b')}}}")
IGNORED_MATCH = _scene(
    "ignored_match", f"{{on_no_match: {_to('a')}}}", "{a: {destination_port: 1}, b: {}}"
)

CASES = [
    (PORT, Client(to="10.0.0.1:80"), "a"),
    (PORT, Client(to="10.0.0.1:443"), CLOSED),
    (PORT, Client(to="10.0.0.1:81"), "default"),
    (PROTOCOLS, Client(alpn=("h2", "http/1.1")), "a"),
    (PROTOCOLS, Client(alpn=("h2",)), "b"),
    (PROTOCOLS, Client(alpn=("http/1.1", "h2")), "default"),
    (PROTOCOLS, Client(), "default"),
    (TRANSPORT, Client(tls=True), "a"),
    (TRANSPORT, Client(), "b"),
    (SOURCE_TYPE, Client(source="127.0.0.1:1"), "a"),
    (SOURCE_TYPE, Client(source="10.0.0.1:1", to="10.0.0.1:2"), "a"),
    (SOURCE_TYPE, Client(source="10.0.0.2:1", to="10.0.0.1:2"), "default"),
    (PREFIX, Client(source="10.2.0.1:1"), "a"),
    (PREFIX, Client(source="10.1.0.1:7"), "b"),
    (PREFIX, Client(source="10.1.0.1:8"), "a"),
    (PREFIX, Client(source="10.1.1.1:8"), "c"),
    (PREFIX, Client(source="1.1.1.1:7"), "default"),
    (RANGES, Client(to="10.1.1.1:1"), "a"),
    (RANGES, Client(to="10.9.1.1:1", source="1.1.1.1:7"), "b"),
    (RANGES, Client(to="10.9.1.1:1", source="1.1.1.1:8"), "a"),
    (RANGES, Client(to="192.1.1.1:1", source="1.1.1.1:7"), "b"),
    (RANGES, Client(to="192.1.1.1:1", source="1.1.1.1:8"), "default"),
    (RANGES, Client(to="8.8.8.8:1"), "c"),
    (RANGES, Client(to="[fe80::1]:1", source="[fe80::2]:1"), "b"),
    (RANGES, Client(to="[2001:db8::1]:1", source="[fe80::2]:1"), "default"),
    (DOMAINS, Client(sni="x.com"), "a"),
    (DOMAINS, Client(sni="com"), "c"),
    (DOMAINS, Client(sni="a.b.com", source="1.1.1.1:7"), "b"),
    (DOMAINS, Client(sni="a.b.com", source="1.1.1.1:8"), "a"),
    (DOMAINS, Client(sni="x.a.b.com", source="1.1.1.1:7"), "b"),
    (DOMAINS, Client(sni="b.com", source="1.1.1.1:7"), "a"),
    (DOMAINS, Client(sni="upper.org"), "c"),
    (DOMAINS, Client(sni="other.org"), "c"),
    (DOMAINS, Client(tls=True), "default"),
    (LIST, Client(sni="www.example.com", source="1.1.1.1:7"), "a"),
    (LIST, Client(sni="www.example.com", source="1.1.1.1:8"), "b"),
    (LIST, Client(sni="www.example.com", source="1.1.1.1:8", alpn=("h2",)), CLOSED),
    (LIST, Client(source="9.1.1.1:1"), "c"),
    (LIST, Client(source="8.1.1.1:1", bind="127.0.0.2"), "c"),
    (LIST, Client(source="8.1.1.1:1"), CLOSED),
    (ABSENT, Client(), "a"),
    (ABSENT, Client(sni="a.b"), "default"),
    (ALWAYS, Client(), "b"),
    (IGNORED_MATCH, Client(), "a"),
]
SCENES = list({scene.id: scene for scene, _, _ in CASES}.values())


@pytest.fixture(scope="module", params=[ENVOY, OURS])
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
