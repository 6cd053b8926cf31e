"""A Qwen3 decoder in NumPy with gradients, small enough to be trained on a CPU in seconds: for the tiny checkpoint only.

The operations are those of transformers' Qwen3ForCausalLM (RMSNorm, per-head q and k norm, neox rotary positions, SiLU, untied
head), so what is trained here answers the same in vLLM. Parameters have Hugging Face's names and shapes.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

# Threads that wait for one another gain nothing at these sizes, and lose a factor of four on a busy machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import autograd.numpy as np
import numpy
from autograd import value_and_grad

Params = dict[str, numpy.ndarray]


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes of the model, in the words of config.json."""

    hidden: int = 128
    layers: int = 2
    heads: int = 4
    head_dim: int = 32
    intermediate: int = 256
    vocab: int = 512
    theta: float = 10000.0
    epsilon: float = 1e-6


@dataclasses.dataclass(frozen=True)
class Example:
    """Token ids, of which those from `answer` on are to be predicted."""

    ids: Sequence[int]
    answer: int


def initial(shape: Shape, seed: int) -> Params:
    """Random parameters; the same seed gives the same."""
    rng = numpy.random.default_rng(seed)

    def matrix(rows: int, columns: int, scale: float) -> numpy.ndarray:
        return (rng.standard_normal((rows, columns)) * scale).astype(numpy.float32)

    width = shape.heads * shape.head_dim
    params = {
        "model.embed_tokens.weight": matrix(shape.vocab, shape.hidden, 0.5),
        "model.norm.weight": numpy.ones(shape.hidden, dtype=numpy.float32),
        "lm_head.weight": matrix(shape.vocab, shape.hidden, 0.02),
    }
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}."
        for name in ("q_proj", "k_proj", "v_proj"):
            params[f"{prefix}self_attn.{name}.weight"] = matrix(width, shape.hidden, shape.hidden**-0.5)
        params[f"{prefix}self_attn.o_proj.weight"] = matrix(shape.hidden, width, width**-0.5)
        for name in ("q_norm", "k_norm"):
            params[f"{prefix}self_attn.{name}.weight"] = numpy.ones(shape.head_dim, dtype=numpy.float32)
        for name in ("gate_proj", "up_proj"):
            params[f"{prefix}mlp.{name}.weight"] = matrix(shape.intermediate, shape.hidden, shape.hidden**-0.5)
        params[f"{prefix}mlp.down_proj.weight"] = matrix(shape.hidden, shape.intermediate, shape.intermediate**-0.5)
        for name in ("input_layernorm", "post_attention_layernorm"):
            params[f"{prefix}{name}.weight"] = numpy.ones(shape.hidden, dtype=numpy.float32)
    return params


def _norm(x, weight, epsilon):
    return x * (np.mean(x * x, axis=-1, keepdims=True) + epsilon) ** -0.5 * weight


def logits(params: Params, shape: Shape, ids: numpy.ndarray, places: numpy.ndarray):
    """Next-token logits (N, vocab) of right-padded sequences (B, T), at N places of the flattened (B * T).

    Lookups and rotations are products with constant matrices: the gradient of an indexed array is a scatter, which is slow.
    """
    batch, length = ids.shape
    half = shape.head_dim // 2
    frequency = shape.theta ** (-numpy.arange(half) / half)
    angle = numpy.outer(numpy.arange(length), numpy.concatenate([frequency, frequency]))
    cos, sin = numpy.cos(angle).astype(numpy.float32), numpy.sin(angle).astype(numpy.float32)
    # x @ turn = (-x[half:], x[:half])
    turn = numpy.zeros((shape.head_dim, shape.head_dim), dtype=numpy.float32)
    turn[numpy.arange(half) + half, numpy.arange(half)] = -1
    turn[numpy.arange(half), numpy.arange(half) + half] = 1
    mask = numpy.triu(numpy.full((length, length), -1e9, dtype=numpy.float32), 1)
    scale = numpy.float32(shape.head_dim**-0.5)
    x = np.dot(numpy.eye(shape.vocab, dtype=numpy.float32)[ids.reshape(-1)], params["model.embed_tokens.weight"])
    for layer in range(shape.layers):

        def weight(name, layer=layer):
            return params[f"model.layers.{layer}.{name}.weight"]

        def heads(value, name, weight=weight):
            return np.swapaxes(np.reshape(np.dot(value, weight(name).T), (batch, length, shape.heads, shape.head_dim)), 1, 2)

        def positioned(value, name, weight=weight):
            normal = _norm(value, weight(name), shape.epsilon)
            return normal * cos + np.matmul(normal, turn) * sin

        y = _norm(x, weight("input_layernorm"), shape.epsilon)
        q = positioned(heads(y, "self_attn.q_proj"), "self_attn.q_norm")
        k = positioned(heads(y, "self_attn.k_proj"), "self_attn.k_norm")
        score = np.exp(np.matmul(q * scale, np.swapaxes(k, 2, 3)) + mask)
        mixed = np.matmul(score, heads(y, "self_attn.v_proj")) / np.sum(score, axis=-1, keepdims=True)
        x = x + np.dot(np.reshape(np.swapaxes(mixed, 1, 2), (batch * length, -1)), weight("self_attn.o_proj").T)
        y = _norm(x, weight("post_attention_layernorm"), shape.epsilon)
        gate = np.dot(y, weight("mlp.gate_proj").T)
        x = x + np.dot(gate / (1 + np.exp(-gate)) * np.dot(y, weight("mlp.up_proj").T), weight("mlp.down_proj").T)
    # The head only where something is predicted: it is as large as a layer.
    chosen = np.dot(numpy.eye(batch * length, dtype=numpy.float32)[places], x)
    return np.dot(_norm(chosen, params["model.norm.weight"], shape.epsilon), params["lm_head.weight"].T)


@dataclasses.dataclass(frozen=True)
class Batch:
    """Examples of similar length, padded: ids (B, T), and at which places of the flattened (B * T) which target is predicted."""

    ids: numpy.ndarray
    places: numpy.ndarray
    targets: numpy.ndarray


def batch(examples: Sequence[Example]) -> Batch:
    """Pad on the right; causal attention never looks there."""
    ids = numpy.zeros((len(examples), max(len(example.ids) for example in examples) - 1), dtype=numpy.int64)
    found = []
    for row, example in enumerate(examples):
        ids[row, : len(example.ids) - 1] = example.ids[:-1]
        found += [(row * ids.shape[1] + at - 1, example.ids[at]) for at in range(example.answer, len(example.ids))]
    places, targets = (numpy.array(part) for part in zip(*found))
    return Batch(ids, places, targets)


def margins(params: Params, shape: Shape, part: Batch) -> numpy.ndarray:
    """By how much each target's logit exceeds the best other one; negative where greedy decoding goes wrong."""
    scores = numpy.array(logits(params, shape, part.ids, part.places))
    every = numpy.arange(len(part.targets))
    wanted = scores[every, part.targets].copy()
    scores[every, part.targets] = -numpy.inf
    return wanted - scores.max(axis=-1)


def train(params: Params, shape: Shape, parts: Sequence[Batch], margin: float, steps: int, rate: float = 3e-3) -> tuple[Params, int, float]:
    """Adam on the cross-entropy of the answers until every answer's margin is reached.

    Returns the parameters, the steps taken and the smallest margin, which is below `margin` where the steps did not suffice.
    """

    def loss(params: Params, part: Batch):
        scores = logits(params, shape, part.ids, part.places)
        top = np.max(scores, axis=-1, keepdims=True)
        total = np.log(np.sum(np.exp(scores - top), axis=-1)) + top[:, 0]
        return np.mean(total - scores[numpy.arange(len(part.targets)), part.targets])

    step_of = value_and_grad(loss)
    first = {name: numpy.zeros_like(value) for name, value in params.items()}
    second = {name: numpy.zeros_like(value) for name, value in params.items()}
    smallest = -numpy.inf
    for step in range(1, steps + 1):
        grads: Params = {}
        for part in parts:
            _value, found = step_of(params, part)
            grads = {name: grads[name] + found[name] for name in found} if grads else found
        now = rate * min(1.0, step / 20) * max(0.1, 1 - step / steps)
        for name, grad in grads.items():
            first[name] = 0.9 * first[name] + 0.1 * grad
            second[name] = 0.99 * second[name] + 0.01 * grad * grad
            update = (first[name] / (1 - 0.9**step)) / (numpy.sqrt(second[name] / (1 - 0.99**step)) + 1e-8)
            params[name] = (params[name] - now * update).astype(numpy.float32)
        if step % 10 == 0:
            smallest = min(float(margins(params, shape, part).min()) for part in parts)
            if smallest >= margin:
                break
    return params, step, smallest
