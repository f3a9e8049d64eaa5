"""The contract that workshop and device share: errors, settings, bundle, messages."""
