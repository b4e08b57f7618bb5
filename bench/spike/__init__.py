"""What ADR 0001 was decided on: `python -m bench.spike`."""
