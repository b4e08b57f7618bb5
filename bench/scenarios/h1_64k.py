"""Bodies that fit a socket buffer."""

from bench.body_scenario import BodyScenario


class Here(BodyScenario):
    name = "h1-64k"
    title = "16 connections, 64 KiB bodies, down and up"
    size = 64 * 1024
    connections = 16
