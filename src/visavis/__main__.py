"""`python -m visavis`."""

from visavis.cli import main

main()
