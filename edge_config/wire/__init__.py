"""Wire format: published messages, requests and replies."""
