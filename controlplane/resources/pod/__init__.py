"""Pod: schema, rules, translation."""
