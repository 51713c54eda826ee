"""What everything stands on: errors, settings, subprocesses, progress, the checkout; nothing of YAML or git."""
