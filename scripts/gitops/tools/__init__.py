"""The pinned Go tools: built once from their published modules, kept in a cache keyed by the pins."""
