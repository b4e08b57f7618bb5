"""`mesh bench`: the same work through us, Envoy, nginx and HAProxy, in one run."""
