"""`python -m dfukit`."""

from dfukit.cli import main

main()
