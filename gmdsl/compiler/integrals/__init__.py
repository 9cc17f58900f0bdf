"""Integrals by quadrature: of densities, and of functions under them."""
