"""One file per scenario: a class `Here` that is a `bench.scenario.Scenario`."""
