"""Route configurations: what RDS is answered with."""
