from .mlp import MLP as MLP
