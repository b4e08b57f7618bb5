"""A connection for every request, as clients without keep-alive make them."""

from bench.load_scenario import LoadScenario, around, saturated
from bench.loads import Load


class Here(LoadScenario):
    name = "h1-new-connections"
    title = "16 at a time, 12-byte body, a new connection each"
    load = Load(connections=16, path="/small", expect_body=12, new_connections=True)
    figures = (*saturated(), *around())
