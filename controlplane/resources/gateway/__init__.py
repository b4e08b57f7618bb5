"""Gateway: schema, rules, translation."""
