"""No proxy: what the generator and the origin server can do by themselves."""

from bench.peer import Peer
from bench.site import Site


class Here(Peer):
    name = "direct"

    def command(self, site: Site) -> list[str]:
        return []

    def version(self) -> str:
        return "no proxy"
