"""Bootstraps and resources for proxies that are configured by an xDS server."""

from __future__ import annotations

from typing import Any

from tests.support import config, tls_config
from tests.support.config import Tree

#: (whether all types share one stream, whether only changes are said)
MODES = {
    "ads-sotw": (True, False),
    "ads-delta": (True, True),
    "own-sotw": (False, False),
    "own-delta": (False, True),
}


def server_cluster(name: str, port: int, **more: Any) -> Tree:
    """The cluster of an xDS server."""
    options = tls_config.http2()
    return config.cluster(name, port, **{**options, **more})


def api(delta: bool, cluster: str = "xds", **more: Any) -> Tree:
    """An ApiConfigSource."""
    return {
        "api_type": "DELTA_GRPC" if delta else "GRPC",
        "transport_api_version": "V3",
        "grpc_services": [
            {
                "envoy_grpc": {
                    "cluster_name": cluster,
                    # So that tests need not wait long for a server that comes back.
                    "retry_policy": {
                        "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.3s"}
                    },
                }
            }
        ],
        **more,
    }


class Sources:
    """Where a proxy's resources come from in a mode."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.shared, self.delta = MODES[mode]

    def source(self, **more: Any) -> Tree:
        """A ConfigSource."""
        if self.shared:
            return {"ads": {}, "resource_api_version": "V3", **more}
        source = api(self.delta, set_node_on_first_message_only=True)
        return {"api_config_source": source, "resource_api_version": "V3", **more}

    def bootstrap(self, admin_port: int, xds_port: int, clusters: list[Tree], **more: Any) -> str:
        """Listeners and clusters from the server; `clusters` besides."""
        cluster = more.pop("xds_cluster", None) or server_cluster("xds", xds_port)
        dynamic: Tree = {"lds_config": self.source(), "cds_config": self.source()}
        if self.shared:
            dynamic["ads_config"] = api(self.delta, set_node_on_first_message_only=True)
        return config.bootstrap(
            admin_port, [], [cluster, *clusters], dynamic_resources=dynamic, **more
        )

    def eds_cluster(self, name: str, **more: Any) -> Tree:
        """A cluster whose endpoints come from the server."""
        return {
            "name": name,
            "type": "EDS",
            "connect_timeout": "2s",
            "eds_cluster_config": {"eds_config": self.source()},
            **more,
        }

    def listener(self, name: str, port: int, routes: str = "routes", **manager: Any) -> Tree:
        """A listener whose routes come from the server."""
        rds = {"route_config_name": routes, "config_source": self.source()}
        return config.listener(name, port, config.hcm(None, rds=rds, **manager))

    def secret(self, name: str, **more: Any) -> Tree:
        """An SdsSecretConfig."""
        return {"name": name, "sds_config": self.source(**more)}
