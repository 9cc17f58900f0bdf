"""Densities of a part of the rows: which arrays hold rows, which terms are sums over rows, how parts are drawn."""
