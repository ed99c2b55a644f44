"""Which unit reaches which, how strongly and when."""
