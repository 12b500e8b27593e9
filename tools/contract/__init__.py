"""docs/reference/contract.md: what of the public contract works, row by row."""
