"""The control plane (`mesh control`): sources, world, translation to Envoy's resources, xDS.

Nothing runs yet: docs/parity.md says what comes when. The shape is fixed in ARCHITECTURE.md.
"""
