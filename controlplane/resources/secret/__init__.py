"""Secret: schema, rules, translation."""
