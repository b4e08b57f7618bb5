"""Compiled helpers (Cython) for what the Python side does for every resource of every update."""
