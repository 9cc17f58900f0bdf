"""JAX's primitives by what they do: the one place where their names are listed."""

from collections.abc import Callable

LINEAR = {
    *("add", "sub", "neg", "add_any", "reduce_sum", "cumsum", "copy", "copy_p", "stop_gradient", "reshape", "pad"),
    *(
        "broadcast_in_dim",
        "transpose",
        "squeeze",
        "expand_dims",
        "slice",
        "concatenate",
        "split",
        "rev",
        "stack",
        "tile",
    ),
}
BILINEAR = {"mul", "dot_general", "conv_general_dilated"}
LINEAR_IN = {  # which operands an operation is linear in, given the others (a denominator, indices, a matrix)
    "div": {0},
    "gather": {0},
    "scatter": {0, 2},
    "scatter-add": {0, 2},
    "dynamic_slice": {0},
    "dynamic_update_slice": {0, 1},
    "triangular_solve": {1},
}
PLAIN_CALLS = {"jit", "pjit", "closed_call"}  # of a program that has no derivative of its own
CALLS = {
    *PLAIN_CALLS,
    *("core_call", "custom_jvp_call", "custom_vjp_call", "checkpoint", "remat", "remat2"),
}
# stop_gradient is missing on purpose: the weights of what is linear are derivatives.
FIRST = dict.fromkeys(
    ("reshape", "transpose", "squeeze", "expand_dims", "broadcast_in_dim", "slice", "rev", "copy", "copy_p", "split",
     "gather", "dynamic_slice", "tile"),
    lambda count: (0,),
)  # fmt: skip
MOVED: dict[str, Callable[[int], tuple[int, ...]]] = {  # which operands are moved, given how many there are
    **FIRST,
    "pad": lambda count: (0, 1),
    "dynamic_update_slice": lambda count: (0, 1),
    "select_n": lambda count: tuple(range(1, count)),
    "concatenate": lambda count: tuple(range(count)),
    "stack": lambda count: tuple(range(count)),
}
REDUCTIONS = {"reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or", "argmax", "argmin"}
ELEMENTWISE = {
    *("add", "sub", "mul", "div", "rem", "max", "min", "pow", "integer_pow", "neg", "sign", "abs", "square", "sqrt"),
    *("rsqrt", "exp", "exp2", "log", "log1p", "expm1", "tanh", "sin", "cos", "tan", "logistic", "floor", "ceil"),
    *("round", "and", "or", "xor", "not", "eq", "ne", "lt", "le", "gt", "ge", "select_n", "clamp", "is_finite"),
    *("convert_element_type", "copy", "stop_gradient", "lgamma", "digamma", "erf", "erfc", "erf_inv", "atan2"),
    *("igamma", "igammac", "cbrt", "add_any", "sinh", "cosh", "asin", "acos", "atan", "asinh", "acosh", "atanh"),
    *("bessel_i0e", "bessel_i1e", "regularized_incomplete_beta", "polygamma", "zeta", "nextafter", "reduce_precision"),
}
STEEP = {  # elementwise operations on floats whose slopes may be infinite
    *("div", "log", "log1p", "sqrt", "rsqrt", "cbrt", "pow", "integer_pow", "mul", "exp", "exp2", "expm1", "square"),
    *("lgamma", "digamma", "erf_inv", "tan", "asin", "acos", "acosh", "atanh", "sinh", "cosh", "igamma", "igammac"),
}
OPAQUE = {"custom_jvp_call", "custom_vjp_call"}  # whose derivative is not that of their program
