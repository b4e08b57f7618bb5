"""Service: schema, rules, translation."""
