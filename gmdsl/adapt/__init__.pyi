from .energy_error import EnergyError as EnergyError
from .length import Length as Length
from .metric import DenseMetric as DenseMetric
from .metric import DiagonalMetric as DiagonalMetric
from .step_size import StepSize as StepSize
