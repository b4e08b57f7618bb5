"""EndpointSlice: schema, rules, translation."""
