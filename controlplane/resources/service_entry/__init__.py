"""ServiceEntry: schema, rules, translation."""
