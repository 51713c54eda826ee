"""What a change touches: two revisions, which overlays read which files, what they render to, where a value stands."""
