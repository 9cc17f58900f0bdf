"""Reading traced programs (jaxprs): what depends on what, what is affine, what acts element by element."""
