"""Our proxy and the stock Envoy get the same bytes; what they do must be the same."""
