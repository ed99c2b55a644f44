"""NetX files."""
