"""The mathematics: one file per formula, each a forward function with its backward function beside it.

`y, cache = x_forward(...)` computes; `gradients = x_backward(dy, cache)` gives the gradient of each
differentiable argument. Everything is pure, takes and returns NumPy arrays, and imports NumPy alone.
"""

from minirec.functional.arguments import Array
from minirec.functional.attention import AttentionCache, attention_backward, attention_forward
from minirec.functional.binary_cross_entropy import (
    BinaryCrossEntropyCache,
    binary_cross_entropy_backward,
    binary_cross_entropy_forward,
)
from minirec.functional.bpr import BprCache, bpr_backward, bpr_forward
from minirec.functional.cross_entropy import CrossEntropyCache, cross_entropy_backward, cross_entropy_forward
from minirec.functional.dropout import DropoutCache, dropout_backward, dropout_forward
from minirec.functional.embedding import (
    EmbeddingCache,
    embedding_backward,
    embedding_forward,
    embedding_row_gradient,
)
from minirec.functional.factorization import FactorizationCache, factorization_backward, factorization_forward
from minirec.functional.gbce import GbceCache, gbce_backward, gbce_beta, gbce_forward
from minirec.functional.gelu import GeluCache, gelu_backward, gelu_forward
from minirec.functional.layer_norm import LayerNormCache, layer_norm_backward, layer_norm_forward
from minirec.functional.linear import LinearCache, linear_backward, linear_forward
from minirec.functional.log_softmax import LogSoftmaxCache, log_softmax_backward, log_softmax_forward
from minirec.functional.relative_attention import (
    RelativeAttentionCache,
    relative_attention_backward,
    relative_attention_forward,
)
from minirec.functional.relu import ReluCache, relu_backward, relu_forward
from minirec.functional.row_gradient import RowGradient, add_row_gradients, sum_by_row
from minirec.functional.sampled_softmax import (
    SampledSoftmaxCache,
    sampled_softmax_backward,
    sampled_softmax_forward,
)
from minirec.functional.sigmoid import SigmoidCache, sigmoid_backward, sigmoid_forward
from minirec.functional.sinusoidal_positions import sinusoidal_positions
from minirec.functional.softmax import SoftmaxCache, softmax_backward, softmax_forward
from minirec.functional.squared_error import SquaredErrorCache, squared_error_backward, squared_error_forward

__all__ = [
    "Array",
    "AttentionCache",
    "BinaryCrossEntropyCache",
    "BprCache",
    "CrossEntropyCache",
    "DropoutCache",
    "EmbeddingCache",
    "FactorizationCache",
    "GbceCache",
    "GeluCache",
    "LayerNormCache",
    "LinearCache",
    "LogSoftmaxCache",
    "RelativeAttentionCache",
    "ReluCache",
    "RowGradient",
    "SampledSoftmaxCache",
    "SigmoidCache",
    "SoftmaxCache",
    "SquaredErrorCache",
    "add_row_gradients",
    "attention_backward",
    "attention_forward",
    "binary_cross_entropy_backward",
    "binary_cross_entropy_forward",
    "bpr_backward",
    "bpr_forward",
    "cross_entropy_backward",
    "cross_entropy_forward",
    "dropout_backward",
    "dropout_forward",
    "embedding_backward",
    "embedding_forward",
    "embedding_row_gradient",
    "factorization_backward",
    "factorization_forward",
    "gbce_backward",
    "gbce_beta",
    "gbce_forward",
    "gelu_backward",
    "gelu_forward",
    "layer_norm_backward",
    "layer_norm_forward",
    "linear_backward",
    "linear_forward",
    "log_softmax_backward",
    "log_softmax_forward",
    "relative_attention_backward",
    "relative_attention_forward",
    "relu_backward",
    "relu_forward",
    "sampled_softmax_backward",
    "sampled_softmax_forward",
    "sigmoid_backward",
    "sigmoid_forward",
    "sinusoidal_positions",
    "softmax_backward",
    "softmax_forward",
    "squared_error_backward",
    "squared_error_forward",
    "sum_by_row",
]
