"""Suites that others wrote, and an abuse client of our own, against a whole proxy."""
