"""Stan's warm-up schedule: a short fast phase, doubling windows for the scales, a last fast phase.

Reference:
    Stan Reference Manual, *HMC algorithm parameters*, "warmup epochs".
"""

import numpy as np

SETTLED = 0  # after warm-up: nothing is tuned
FAST = 1  # tuned, but not used to estimate scales
WINDOW = 2  # also used to estimate scales
WINDOW_END = 3  # the last draw of such a window
FINISH = 4  # the last warm-up step: averages are taken, then everything is frozen


def schedule(warmup: int) -> np.ndarray:
    """The phase of each warm-up step.

    >>> phases = schedule(1000)
    >>> [int(i) for i in np.flatnonzero(phases == WINDOW_END)]
    [99, 149, 249, 449, 949]
    """
    phases = np.full(warmup, FAST, np.int8)
    if warmup == 0:
        return phases
    first, last, window = (75, 50, 25) if warmup >= 150 else (int(0.15 * warmup), int(0.1 * warmup), 0)
    end = warmup - last
    window = window or end - first
    start = first
    while start < end and warmup >= 20:
        stop = start + window
        if stop + 2 * window > end:
            stop = end
        phases[start:stop] = WINDOW
        phases[stop - 1] = WINDOW_END
        start, window = stop, 2 * window
    phases[-1] = FINISH
    return phases
