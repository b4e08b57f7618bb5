"""From the world to Envoy's resources, with Istio's names. Pure: nothing here waits."""
