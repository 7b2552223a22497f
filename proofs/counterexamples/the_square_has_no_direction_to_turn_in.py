"""Two pairs alone: the square in width 2 is a minimum within its width, no saddle."""

from ..checker import Counterexample
from ..theorems.the_square_of_two_pairs_is_a_minimum_in_width_two import minors, variation


def counterexample() -> Counterexample:
    return Counterexample(
        name="the_square_has_no_direction_to_turn_in",
        statement="2 x 2 one-hot in width 2, main effects alone with z_a = z_b, any ridge below 1/m: the second "
        "variation is positive in all directions but the common rotation, so that the square is no "
        "saddle.",
        theorem="crossed_main_effects_alone_are_saddles_of_cross_entropy",
        without="an attribute of size 3 or more beside another, or three pairs with equal z",
        proof=(*variation(), *minors()),
    )
