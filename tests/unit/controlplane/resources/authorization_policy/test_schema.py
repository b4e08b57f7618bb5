"""Fields of AuthorizationPolicy."""

from controlplane.resources.authorization_policy import KIND
from controlplane.resources.authorization_policy.schema import (
    AuthorizationPolicy,
    Condition,
    ExtensionProvider,
    From,
    Operation,
    Rule,
    Source,
    To,
)
from controlplane.resources.common.selector import PolicySelector
from tests.support.judging import judge


def test_names() -> None:
    assert KIND.api_versions() == ("security.istio.io/v1", "security.istio.io/v1beta1")
    assert (KIND.plural, KIND.short) == ("authorizationpolicies", ("ap",))


def test_every_field() -> None:
    spec, errors, warnings = judge(
        KIND,
        """
        selector: {matchLabels: {app: httpbin}}
        action: DENY
        rules:
        - from:
          - source:
              principals: [cluster.local/ns/default/sa/sleep]
              notPrincipals: ["*/sa/bad"]
              requestPrincipals: ["iss/*"]
              notRequestPrincipals: [iss/mallory]
              namespaces: [foo]
              notNamespaces: [bar]
              ipBlocks: [10.0.0.0/8, 203.0.113.4]
              notIpBlocks: [10.1.0.0/16]
              remoteIpBlocks: ["2001:db8::/32"]
              notRemoteIpBlocks: ["2001:db8::1"]
              trustDomains: [cluster.local, "old-*"]
              notTrustDomains: ["*.example"]
          - source: {serviceAccounts: [default/sleep, sleep], notServiceAccounts: [foo/bad]}
          to:
          - operation:
              hosts: ["*.example.com"]
              notHosts: [admin.example.com]
              ports: ["80", "0"]
              notPorts: ["8080"]
              methods: [GET]
              notMethods: [HEAD]
              paths: [/info*, "/a/{*}/b/{**}"]
              notPaths: [/admin]
          when:
          - {key: "request.auth.claims[iss]", values: [a], notValues: [b]}
        - {}
        """,
    )
    assert (errors, warnings) == ([], [])
    assert spec == AuthorizationPolicy(
        selector=PolicySelector({"app": "httpbin"}),
        action="DENY",
        rules=(
            Rule(
                from_=(
                    From(
                        Source(
                            principals=("cluster.local/ns/default/sa/sleep",),
                            not_principals=("*/sa/bad",),
                            request_principals=("iss/*",),
                            not_request_principals=("iss/mallory",),
                            namespaces=("foo",),
                            not_namespaces=("bar",),
                            ip_blocks=("10.0.0.0/8", "203.0.113.4"),
                            not_ip_blocks=("10.1.0.0/16",),
                            remote_ip_blocks=("2001:db8::/32",),
                            not_remote_ip_blocks=("2001:db8::1",),
                            trust_domains=("cluster.local", "old-*"),
                            not_trust_domains=("*.example",),
                        )
                    ),
                    From(
                        Source(
                            service_accounts=("default/sleep", "sleep"),
                            not_service_accounts=("foo/bad",),
                        )
                    ),
                ),
                to=(
                    To(
                        Operation(
                            hosts=("*.example.com",),
                            not_hosts=("admin.example.com",),
                            ports=("80", "0"),
                            not_ports=("8080",),
                            methods=("GET",),
                            not_methods=("HEAD",),
                            paths=("/info*", "/a/{*}/b/{**}"),
                            not_paths=("/admin",),
                        )
                    ),
                ),
                when=(Condition("request.auth.claims[iss]", ("a",), ("b",)),),
            ),
            Rule(),
        ),
    )


def test_defaults_and_the_provider() -> None:
    assert judge(KIND, "{}")[0] == AuthorizationPolicy(action="ALLOW", rules=())
    spec, errors, _ = judge(KIND, "{action: CUSTOM, provider: {name: opa}, rules: [{}]}")
    assert errors == []
    assert spec.provider == ExtensionProvider("opa")
