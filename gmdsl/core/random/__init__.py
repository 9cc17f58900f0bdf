"""Random numbers: keys, Threefry, normal numbers, subsets."""
