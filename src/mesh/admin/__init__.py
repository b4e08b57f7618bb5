"""The admin port: Envoy's endpoints, one file per family."""
