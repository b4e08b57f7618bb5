"""What Envoy's admin port dumps, as istioctl's tables: one file each."""
