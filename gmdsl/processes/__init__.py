"""Forward noising processes, one per file; none imports another."""
