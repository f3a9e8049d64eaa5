"""What a user may set: strict files, sections, profiles of kinds of device."""
