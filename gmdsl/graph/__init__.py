"""The factor graph: factors, nodes, names, order, and what is evaluated and drawn from them."""
