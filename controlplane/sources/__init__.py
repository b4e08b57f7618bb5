"""Where resources come from, and the one place where they are written."""
