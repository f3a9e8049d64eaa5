"""What leaves the page as a file: clips as films that browsers play, tables, data sets and support archives."""
