"""Paths of densities, and what runs along them."""
