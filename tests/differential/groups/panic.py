"""What happens when too few hosts are healthy."""

from __future__ import annotations

from tests.differential.model import TO_A, Case, Group, Listener, req

GROUP = Group(
    name="panic",
    listeners={"main": Listener(TO_A.replace("cluster: a", "cluster: unhealthy"))},
    clusters="""
- name: unhealthy
  type: STATIC
  connect_timeout: 0.3s
  common_lb_config: {healthy_panic_threshold: {value: 0}}
  load_assignment:
    cluster_name: unhealthy
    endpoints: [{lb_endpoints: [{health_status: UNHEALTHY, endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${a}}}}}]}]
""",
    cases=[Case("unhealthy_no_panic", req())],
)
