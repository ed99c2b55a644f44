"""Units on the chip's cores."""
