"""Ways back from noise to data, one per file."""
