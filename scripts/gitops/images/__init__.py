"""From a push to the registry to a reviewed pull request."""
