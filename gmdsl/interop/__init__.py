"""Models and kernels of other libraries."""
