"""What stands in files: objects, YAML, kustomize, which file a field came from, findings about them."""
