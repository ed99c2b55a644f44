"""Continuous time."""
