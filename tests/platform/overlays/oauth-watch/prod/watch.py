"""Stands for the live overlay's script, which has a test of its own: tests/test_oauth_watch.py."""

print("looked")
