"""One file for each claim: `python -m experiments.NAME [--quick] [--out RUN]`; the last line is one JSON object."""
