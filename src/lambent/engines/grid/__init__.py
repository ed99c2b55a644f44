"""Time in steps of dt."""
