"""One file per proxy: a class `Here` that is a `bench.peer.Peer`."""
