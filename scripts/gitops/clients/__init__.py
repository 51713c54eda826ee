"""One module for each external system; none knows of another, or of this repository's layout."""
