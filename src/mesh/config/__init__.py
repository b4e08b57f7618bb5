"""What `mesh proxy` is told: command-line flags, configuration files, the machine's size."""
