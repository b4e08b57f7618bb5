"""The control plane's own state over HTTP on loopback: what is refused, who has what, waiting."""
