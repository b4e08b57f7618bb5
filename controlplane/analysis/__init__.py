"""What is wrong between resources: `mesh analyze`. Codes, levels and names are Istio's.

    load -> collection -> analyzers -> report

An analyzer is a function of a collection, which is a mapping of keys to resources: it knows
neither files nor lines. `place` finds the line of what it says.
"""
