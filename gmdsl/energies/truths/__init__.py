"""Where the truths come from: quadrature, enumeration, transfer matrices, closed forms."""
