"""The commands of `mesh` that read and write configuration, in kubectl's words."""
