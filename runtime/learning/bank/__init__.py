"""The memory bank: features, coreset, index, table of neighbours."""
