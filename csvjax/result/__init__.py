"""The result of a fit: labelled draws, salience, tables, files, and the check whether to trust it."""
