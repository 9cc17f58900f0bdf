from .cross_chain import CrossChain as CrossChain
from .energy_error import EnergyError as EnergyError
from .length import Length as Length
from .low_rank import LowRankMetric as LowRankMetric
from .metric import DenseMetric as DenseMetric
from .metric import DiagonalMetric as DiagonalMetric
from .step_size import StepSize as StepSize
from .trajectory_length import TrajectoryLength as TrajectoryLength
