"""Two small networks whose last step is a LayerNorm or RMSNorm, then a linear head without bias.

The body maps the tokens of context j to b_j in R^d.  With R = sqrt(d),

    f_j = b_j - mean(b_j) (LayerNorm) or b_j (RMSNorm),     u_j = R f_j / |f_j|,     h_j = u_j,     z_j = W h_j,

so f_j is the feature before the norm, whose kernel and length drive the forecasts, and h_j the context embedding.  The
norm has no epsilon: |u_j| = R holds exactly, and f_j follows from u_j and |f_j|.  With an affine part
h_j = gain u_j + bias, entry by entry (RMSNorm has no bias), from gain 1 and bias 0.  Without a final norm
h_j = f_j = b_j.
"""

import math
from types import MappingProxyType

import torch
from torch import Tensor, nn

from ..theory.errors import InputError

HEAD_STD = 0.02
EMBEDDING_STD = 0.02
NORMS = MappingProxyType({"layernorm": "LayerNorm", "rmsnorm": "RMSNorm"})
HEADS = 4  # attention heads of the transformer; its width must be a multiple


class Network(nn.Module):
    """A body followed by the final norm and a linear head.

    Parameters
    ----------
    body : module from tokens (m, positions) to (m, d)
    features : int
        d.
    labels : int
        V; the head W is V x d with independent normal entries of standard deviation 0.02.
    norm : "layernorm" or "rmsnorm"
        The final norm.
    affine : bool
        Whether the final norm has a gain (and LayerNorm a bias), which are learned.
    final : bool
        Whether there is a final norm.

    Examples
    --------
    >>> network = Network(MLPBody(vocabulary=10, layers=3, width=16, features=8), features=8, labels=24)
    >>> tokens = torch.tensor([[0, 4], [3, 9]])
    >>> network(tokens).shape, network.embeddings(tokens).norm(dim=1).round(decimals=3).tolist()
    (torch.Size([2, 24]), [2.828000068664551, 2.828000068664551])
    """

    def __init__(
        self, body: nn.Module, features: int, labels: int, norm: str = "layernorm", affine: bool = False,
        final: bool = True,
    ):  # fmt: skip
        super().__init__()
        self.body = body
        self.final = final
        self.centred = final and norm == "layernorm"
        self.gain = nn.Parameter(torch.ones(features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(features)) if affine and self.centred else None
        self.head = nn.Linear(features, labels, bias=False)
        nn.init.normal_(self.head.weight, std=HEAD_STD)

    def features_before_norm(self, tokens: Tensor) -> Tensor:
        """Features f before the norm, mean-centred for LayerNorm: (m, positions) -> (m, d)."""
        b = self.body(tokens)
        return b - b.mean(dim=-1, keepdim=True) if self.centred else b

    def embed(self, f: Tensor) -> Tensor:
        """Context embeddings H of features f: the final norm with its affine part, (m, d) -> (m, d)."""
        if not self.final:
            return f
        u = normalise(f)
        scaled = u if self.gain is None else self.gain * u
        return scaled if self.bias is None else scaled + self.bias

    def embeddings(self, tokens: Tensor) -> Tensor:
        """Context embeddings H: (m, positions) -> (m, d), each of length sqrt(d) where there is no affine part."""
        return self.embed(self.features_before_norm(tokens))

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits: (m, positions) -> (m, V)."""
        return self.head(self.embeddings(tokens))


def normalise(f: Tensor) -> Tensor:
    """u = sqrt(d) f / |f| along the last axis: RMSNorm without epsilon, and LayerNorm's for mean-centred f."""
    return math.sqrt(f.shape[-1]) * f / f.norm(dim=-1, keepdim=True)


class MLPBody(nn.Module):
    """`layers` linear layers with ReLU between them, on the one-hot codes of all tokens side by side.

    Weights and biases start as PyTorch's `Linear` does.  Tokens of different positions never coincide, so the sum of
    their one-hot codes over positions is their concatenation.  `scale` multiplies the codes.
    """

    def __init__(self, vocabulary: int, layers: int, width: int, features: int, scale: float = 1.0):
        super().__init__()
        self.vocabulary, self.scale = vocabulary, scale
        sizes = [vocabulary, *[width] * (layers - 1), features]
        linear = [nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:], strict=True)]
        self.net = nn.Sequential(linear[0], *(part for layer in linear[1:] for part in (nn.ReLU(), layer)))

    def forward(self, tokens: Tensor) -> Tensor:
        codes = nn.functional.one_hot(tokens, self.vocabulary).sum(dim=1)
        return self.net(self.scale * codes.to(next(self.parameters()).dtype))


class TransformerBody(nn.Module):
    """A decoder-only transformer; the features are the residual stream at the last position.

    Token and position embeddings are learned and start with standard deviation 0.02; each of the `layers` blocks adds
    causal attention and then a two-layer perceptron (`width`, GELU), each behind a norm with affine part.  `scale`
    multiplies the token embeddings.
    """

    def __init__(
        self, vocabulary: int, positions: int, layers: int, width: int, features: int, norm: str = "layernorm",
        scale: float = 1.0,
    ):  # fmt: skip
        super().__init__()
        self.scale = scale
        self.token = nn.Embedding(vocabulary, features)
        self.position = nn.Parameter(torch.empty(positions, features))
        self.blocks = nn.Sequential(*(Block(features, width, norm) for _ in range(layers)))
        nn.init.normal_(self.token.weight, std=EMBEDDING_STD)
        nn.init.normal_(self.position, std=EMBEDDING_STD)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.blocks(self.scale * self.token(tokens) + self.position)[:, -1]


class Block(nn.Module):
    """x + attention(norm(x)), then x + perceptron(norm(x)): (m, positions, d) -> (m, positions, d)."""

    def __init__(self, features: int, width: int, norm: str = "layernorm"):
        super().__init__()
        self.norm1, self.norm2 = block_norm(norm, features), block_norm(norm, features)
        self.qkv, self.out = nn.Linear(features, 3 * features), nn.Linear(features, features)
        self.perceptron = nn.Sequential(nn.Linear(features, width), nn.GELU(), nn.Linear(width, features))

    def forward(self, x: Tensor) -> Tensor:
        m, T, d = x.shape
        # Written out: fused attention kernels have no batched vector-Jacobian product, and T is 1 to 4.
        q, k, v = self.qkv(self.norm1(x)).view(m, T, 3, HEADS, d // HEADS).permute(2, 0, 3, 1, 4)
        later = torch.ones(T, T, dtype=torch.bool, device=x.device).triu(1)
        scores = (q @ k.mT / math.sqrt(d // HEADS)).masked_fill(later, -math.inf)
        x = x + self.out((scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(m, T, d))
        return x + self.perceptron(self.norm2(x))


def block_norm(norm: str, features: int) -> nn.Module:
    """The norm inside a block, as PyTorch has it: with affine part and epsilon."""
    if norm == "layernorm":
        return nn.LayerNorm(features)
    if not hasattr(nn, "RMSNorm"):
        raise InputError("norm: 'rmsnorm' in a transformer needs torch >= 2.4; use layernorm, or a newer torch.")
    return nn.RMSNorm(features)
