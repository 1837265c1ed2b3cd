"""Numbers of the field and beyond: one metric a file, one protocol a table."""
