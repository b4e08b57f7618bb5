"""ServiceAccount: schema, rules, translation."""
