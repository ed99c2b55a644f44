"""The steps of the command line as functions on run folders."""
