"""`python -m reproduce`: the commands of the study."""

from reproduce.cli import main

main()
