"""Bodies that do not fit a socket buffer."""

from bench.body_scenario import BodyScenario


class Here(BodyScenario):
    name = "h1-1m"
    title = "8 connections, 1 MiB bodies, down and up"
    size = 1024 * 1024
    connections = 8
