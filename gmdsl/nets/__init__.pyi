from .decoder import BernoulliDecoder as BernoulliDecoder
from .decoder import GaussianDecoder as GaussianDecoder
from .encoder import GaussianEncoder as GaussianEncoder
from .mlp import MLP as MLP
from .time_embedding import TimeEmbedding as TimeEmbedding
from .time_mlp import TimeMLP as TimeMLP
from .unet import UNet as UNet
