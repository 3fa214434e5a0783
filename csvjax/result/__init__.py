"""What a fit returns: draws with labels, salience, tables, files, and whether to trust it."""
