"""Node: schema, rules, translation."""
