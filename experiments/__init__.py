"""One file for each claim: `python -m experiments.NAME [--quick] [--out RUN]`; the last line printed is a JSON object."""
