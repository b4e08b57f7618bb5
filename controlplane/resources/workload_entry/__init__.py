"""WorkloadEntry: schema, rules, translation."""
