"""Listeners: what LDS is answered with."""
