"""`python -m csvjax.cli`, where the `csvjax` command is not on the path."""

from csvjax.cli import main

main()
