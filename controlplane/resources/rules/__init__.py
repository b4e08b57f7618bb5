"""Rules that more than one kind has, by topic. Each yields problems of one value at one path."""
