"""What a change can break, and so what CI runs for it."""
