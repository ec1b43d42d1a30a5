"""Measurements inside the network: what is left of the knowledge, and where."""
