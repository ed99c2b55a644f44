"""Compiling, threads, running ahead of a device, files: what any numerical package would need."""
