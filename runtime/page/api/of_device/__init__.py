"""Operations that are requests to a device: teaching, versions, settings, upkeep."""
