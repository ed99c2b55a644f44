"""`python -m lambent` is the command line."""

from lambent.cli import main

main()
