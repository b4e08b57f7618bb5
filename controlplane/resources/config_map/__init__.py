"""ConfigMap: schema, rules, translation."""
