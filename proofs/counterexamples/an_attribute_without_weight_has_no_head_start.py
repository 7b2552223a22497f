"""An attribute with weight 0 in the embedding kernel is no larger than the interactions."""

from ...theory.attributes import Attributes
from ...theory.kernels import embedding_kernel
from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    kernel = embedding_kernel(Attributes("a[3] * b[4]"), {"a": 1, "b": 0}, residual=1)
    return Counterexample(
        name="an_attribute_without_weight_has_no_head_start",
        statement="3 x 4 crossed, weight 0 on b: the kernel on b equals that on a:b, so b does not precede the "
        "interaction.",
        theorem="coarse_strata_have_larger_kernels",
        without="embedding kernel with positive weights",
        proof=(
            Cases(
                "kernel", (("b as a:b", kernel["b"], "==", kernel["a:b"]), ("a above", kernel["a"], ">", kernel["a:b"]))
            ),
        ),
    )
