"""Full conditionals of discrete variables, read off a traced density: who interacts, and what changes with whom."""
