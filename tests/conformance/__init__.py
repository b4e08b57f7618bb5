"""What others' test suites and implementations say of our protocols."""
