"""What GitHub itself is told, as files: who may merge what; and main's own verdict on each change."""
