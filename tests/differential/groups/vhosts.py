"""Which virtual host a request belongs to."""

from __future__ import annotations

from tests.differential.model import Case, Group, Listener, req

_DOMAINS = {
    "exact": ["exact.example", "other.example:8080"],
    "port": ["ported.example", "ported.example:8080"],
    "suffix_long": ["*.b.example"],
    "suffix_short": ["*.example"],
    "suffix_dash": ["*-bar.test"],
    "prefix_long": ["www.foo.*"],
    "prefix_short": ["www.*"],
    "upper": ["UPPER.test"],
    "ip": ["127.0.0.1", "[::1]"],
}


def _routes(domains: dict[str, list[str]], extra: str = "") -> str:
    text = extra + "\nvirtual_hosts:\n"
    for name, names in domains.items():
        text += f"- name: {name}\n  domains: {names!r}\n  routes:\n"
        text += f"  - name: r_{name}\n    match: {{prefix: /}}\n    route: {{cluster: a}}\n"
    return text


_STAR = {"star": ["*"]}
_HOSTS = {
    "exact": "exact.example",
    "exact_case": "EXACT.Example",
    "exact_with_port": "other.example:8080",
    "exact_without_its_port": "other.example",
    "exact_port_other": "exact.example:80",
    "port_listed": "ported.example:8080",
    "port_unlisted": "ported.example:9090",
    "suffix_longest": "a.b.example",
    "suffix_two_labels": "x.y.example",
    "suffix_itself": "b.example",
    "suffix_bare_dot": ".example",
    "suffix_with_port": "z.example:81",
    "suffix_dash": "foo-bar.test",
    "suffix_dash_empty": "-bar.test",
    "prefix_longest": "www.foo.com",
    "prefix_short": "www.bar.com",
    "prefix_and_suffix": "www.foo.example",
    "prefix_empty_rest": "www.",
    "star": "nothing.matches",
    "upper_domain": "upper.test",
    "trailing_dot": "exact.example.",
    "ipv4_port": "127.0.0.1:1234",
    "ipv6": "[::1]",
    "ipv6_port": "[::1]:8080",
    "empty_host": "",
}

GROUP = Group(
    name="vhosts",
    listeners={
        "main": Listener(_routes(_DOMAINS | _STAR)),
        "nostar": Listener(_routes(_DOMAINS)),
        "ignore_port": Listener(_routes(_DOMAINS, "ignore_port_in_host_matching: true")),
        "strip_matching": Listener(_routes(_DOMAINS | _STAR), "strip_matching_host_port: true"),
        "strip_any": Listener(_routes(_DOMAINS | _STAR), "strip_any_host_port: true"),
        "strip_dot": Listener(_routes(_DOMAINS | _STAR), "strip_trailing_host_dot: true"),
        "vhost_header": Listener(_routes(_DOMAINS | _STAR, "vhost_header: x-vhost")),
    },
    cases=[
        *(Case(name, req(host=host)) for name, host in _HOSTS.items()),
        Case("nostar_404", req(host="nothing.matches"), "nostar"),
        Case("nostar_port_404", req(host="exact.example:80"), "nostar"),
        Case("nostar_head_404", req(host="nothing.matches", method="HEAD"), "nostar"),
        Case("nostar_post_404", req(host="nothing.matches", method="POST", body=b"x"), "nostar"),
        Case("ignore_port_exact", req(host="exact.example:99"), "ignore_port"),
        Case("ignore_port_suffix", req(host="a.b.example:99"), "ignore_port"),
        Case("ignore_port_listed", req(host="ported.example:8080"), "ignore_port"),
        Case("ignore_port_of_listed", req(host="other.example:8080"), "ignore_port"),
        Case("strip_matching_same", req(host="exact.example:${l_strip_matching}"), "strip_matching"),
        Case("strip_matching_other", req(host="exact.example:8080"), "strip_matching"),
        Case("strip_matching_ipv6", req(host="[::1]:${l_strip_matching}"), "strip_matching"),
        Case("strip_any", req(host="exact.example:8080"), "strip_any"),
        Case("strip_any_ipv6", req(host="[::1]:8080"), "strip_any"),
        Case("strip_any_not_a_port", req(host="exact.example:http"), "strip_any"),
        Case("strip_any_empty_port", req(host="exact.example:"), "strip_any"),
        Case("strip_any_connect", req("exact.example:443", method="CONNECT"), "strip_any"),
        Case("strip_dot", req(host="exact.example."), "strip_dot"),
        Case("strip_dot_port", req(host="exact.example.:8080"), "strip_dot"),
        Case("vhost_header", req("/", "x-vhost: www.foo.com", host="exact.example"), "vhost_header"),
        Case("vhost_header_absent", req(host="exact.example"), "vhost_header"),
    ],
)
