"""Looking at runs and models: the tree of results, checks, pictures."""
