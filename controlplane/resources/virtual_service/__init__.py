"""VirtualService: schema, rules, translation."""
