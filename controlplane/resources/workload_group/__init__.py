"""WorkloadGroup: schema, rules, translation."""
