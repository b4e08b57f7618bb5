"""Plain TCP, a connection for every twelve bytes: what a connection through the proxy costs."""

from bench.load_scenario import LoadScenario, around, saturated
from bench.loads import TcpLoad
from bench.site import Setup, Wire


class Here(LoadScenario):
    name = "tcp-connect-rate"
    title = "16 at a time: connect, 9 bytes up, 12 bytes down, close"
    setup = Setup(downstream=Wire.TCP, upstream=Wire.TCP)
    load = TcpLoad(connections=16, size=12, new_connections=True)
    figures = (*saturated("connection"), *around("connection"))
