"""The sidecar and the `mesh` command. Importing it imports nothing: memory is counted here."""

__version__ = "0.1.0"
