"""What a ticket is compared with, so that its success means something.

A control keeps part of what makes a ticket and changes the rest. Each is a function
of the ticket's masks, its rewound state and a state built anew from other random
numbers; it returns the masks and the state that the control trains from.
"""

from collections.abc import Callable

import numpy as np

from kerasinit.masks import Masks

State = dict[str, np.ndarray]
Control = Callable[[Masks, State, State], tuple[Masks, State]]


def reinit(masks: Masks, rewound: State, fresh: State) -> tuple[Masks, State]:
    """Keep the mask, draw the weights anew: is it the structure alone that wins?

    Reference:
        Frankle and Carbin, 2019, section 2, "random reinitialization".
    """
    return masks, fresh


CONTROLS: dict[str, Control] = {"reinit": reinit}
