"""What export and device share: errors, settings, the bundle format, wire messages."""
