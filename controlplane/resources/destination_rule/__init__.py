"""DestinationRule: schema, rules, translation."""
