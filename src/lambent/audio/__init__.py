"""Recordings as spikes: the cochlea and its parts."""
