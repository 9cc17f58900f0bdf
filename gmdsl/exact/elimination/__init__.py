"""Variable elimination of discrete variables: terms, tables, the order, the sums."""
