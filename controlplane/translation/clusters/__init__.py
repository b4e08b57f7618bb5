"""Clusters: what CDS is answered with."""
