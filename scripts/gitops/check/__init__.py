"""The gate: everything that must be true of a change before it merges."""
