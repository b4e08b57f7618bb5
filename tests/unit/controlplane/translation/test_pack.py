"""Joining packed messages gives what packing the whole gives."""

from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from hypothesis import given
from hypothesis import strategies as st

from controlplane.translation.pack import joined, packed


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=400), max_size=5))
def test_joined_is_packed(names: list[str]) -> None:
    whole = RouteConfiguration(name="r", virtual_hosts=[VirtualHost(name=one) for one in names])
    parts = [packed(VirtualHost(name=one)) for one in names]
    body = joined(packed(RouteConfiguration(name="r")), 2, parts)
    assert RouteConfiguration.FromString(body) == whole
