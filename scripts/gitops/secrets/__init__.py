"""Sealing: what sealed-secrets' controller opens."""
