"""gRPC calls with one small message each way; their status is in the trailers."""

from bench.load_scenario import LoadScenario, around, saturated
from bench.loads import GrpcLoad
from bench.scenario import Bar
from bench.site import Carries, Setup, Wire


class Here(LoadScenario):
    name = "grpc-unary"
    title = "8 connections with 8 calls each at a time, 128-byte messages"
    setup = Setup(downstream=Wire.H2, upstream=Wire.H2, carries=Carries.GRPC)
    load = GrpcLoad(connections=8, streams=8, message_size=128)
    figures = (*saturated("call"), *around("call"))
    bars = (Bar("cpu_us", 0.5, "envoy"),)
