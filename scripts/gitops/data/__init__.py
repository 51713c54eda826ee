"""What services keep: copies of their databases, and the way back."""
