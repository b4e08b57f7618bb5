"""x-request-id and what else the HCM adds to identify a request."""

from __future__ import annotations

from tests.differential.model import TO_A, Case, Group, Listener, req

_ID = "x-request-id: 11111111-2222-4333-8444-555555555555"
_UUID_EXT = (
    "request_id_extension:\n  typed_config:\n"
    "    '@type': type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig\n"
)
_INTERNAL = (
    "use_remote_address: true\n"
    "internal_address_config: {cidr_ranges: [{address_prefix: 127.0.0.0, prefix_len: 8}]}\n"
)

_DIRECT = """
virtual_hosts:
- name: all
  domains: ["*"]
  routes: [{match: {prefix: /}, direct_response: {status: 200}}]
"""

GROUP = Group(
    name="request_id",
    listeners={
        "main": Listener(TO_A),
        "edge": Listener(TO_A, "use_remote_address: true"),
        "edge_internal": Listener(TO_A, _INTERNAL),
        "preserve": Listener(TO_A, "use_remote_address: true\npreserve_external_request_id: true"),
        "off": Listener(TO_A, "generate_request_id: false"),
        "off_edge": Listener(TO_A, "generate_request_id: false\nuse_remote_address: true"),
        "in_response": Listener(TO_A, "always_set_request_id_in_response: true"),
        "in_direct": Listener(_DIRECT, "always_set_request_id_in_response: true"),
        "no_pack": Listener(TO_A, _UUID_EXT + "    pack_trace_reason: false\n"),
    },
    cases=[
        Case("absent", req()),
        Case("present", req("/", _ID)),
        Case("present_not_uuid", req("/", "x-request-id: hello")),
        Case("present_empty", req("/", "x-request-id:")),
        Case("present_twice", req("/", _ID, "x-request-id: two")),
        Case("edge_absent", req(), "edge"),
        Case("edge_present_is_replaced", req("/", _ID), "edge"),
        Case("edge_internal_present", req("/", _ID), "edge_internal"),
        Case("edge_internal_with_xff", req("/", _ID, "x-forwarded-for: 8.8.8.8"), "edge_internal"),
        Case("preserve_present", req("/", _ID), "preserve"),
        Case("preserve_absent", req(), "preserve"),
        Case("off_absent", req(), "off"),
        Case("off_present", req("/", _ID), "off"),
        Case("off_edge_present", req("/", _ID), "off_edge"),
        Case("in_response_absent", req(), "in_response"),
        Case("in_response_present", req("/", _ID), "in_response"),
        Case("in_response_direct", req("/", _ID), "in_direct"),
        Case("in_response_off_by_default", req("/", _ID)),
        Case("no_pack_present", req("/", _ID), "no_pack"),
        Case("client_trace_id", req("/", _ID, "x-client-trace-id: abc"), "edge"),
        Case("force_trace_external", req("/", _ID, "x-envoy-force-trace: 1"), "edge"),
        Case("force_trace_internal", req("/", _ID, "x-envoy-force-trace: 1"), "edge_internal"),
    ],
)
