"""`python -m mlmd.cli` is `evlog`."""

from mlmd.cli import main

main()
