"""gRPC calls that stream both ways: a message and its echo take turns, a hundred times a call."""

from bench.load_scenario import LoadScenario, around, saturated
from bench.loads import GrpcLoad
from bench.site import Carries, Setup, Wire


class Here(LoadScenario):
    name = "grpc-stream"
    title = "8 connections with 8 streams each, 100 messages of 128 bytes and their echoes a stream"
    setup = Setup(downstream=Wire.H2, upstream=Wire.H2, carries=Carries.GRPC)
    load = GrpcLoad(connections=8, streams=8, message_size=128, messages=100)
    figures = (*saturated("round trip"), *around("round trip"))
