"""Why a function does not take its arguments."""

import jax


def refused(function, *arguments):
    """Why a function does not take arguments of these shapes, or ``None`` where it does."""
    try:
        jax.eval_shape(function, *arguments)
    except (TypeError, ValueError, IndexError) as error:
        return str(error)
    return None
