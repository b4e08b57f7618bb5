"""Shared by every test that talks to a real process: ports, sockets, upstreams, proxies."""
