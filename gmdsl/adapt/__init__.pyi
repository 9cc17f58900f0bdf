from .cross_chain import CrossChain as CrossChain
from .low_rank import LowRankMetric as LowRankMetric
from .metric import DenseMetric as DenseMetric
from .metric import DiagonalMetric as DiagonalMetric
from .step_size import StepSize as StepSize
from .trajectory_length import TrajectoryLength as TrajectoryLength
