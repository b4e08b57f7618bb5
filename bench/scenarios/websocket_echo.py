"""WebSocket messages that come back: after the upgrade the proxy only moves bytes."""

from bench.load_scenario import LoadScenario, around, saturated
from bench.loads import WebSocketLoad
from bench.site import Carries, Setup


class Here(LoadScenario):
    name = "websocket-echo"
    title = "64 connections, 125-byte messages and their echoes"
    setup = Setup(carries=Carries.WEBSOCKET)
    load = WebSocketLoad(connections=64, size=125)
    figures = (*saturated("round trip"), *around("round trip"))
