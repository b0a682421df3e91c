"""What was measured, as a table, a JSON document, a page and a picture."""
