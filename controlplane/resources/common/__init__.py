"""Messages that more than one kind has, by topic."""
