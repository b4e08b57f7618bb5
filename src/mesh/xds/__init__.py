"""The xDS session: which resources are subscribed to, held, refused."""
