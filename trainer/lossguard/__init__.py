"""lossguard: the live health monitor for PyTorch training. `import lossguard as lg`, then `lg.init(...)`.

Rules of this file: the public names, and nothing that imports torch or a server.
"""

from .contracts import at_least, at_most, blend, bounded, counted, matrix, psd, ranged, ratio, share
from .controls import Controls
from .curriculum import Curriculum, Ramp, Stage, ramp
from .errors import ConfigError, LossguardError, NonFiniteStep, NotAScalar, UnknownComponent
from .preflight import preflight  # the function; from here on the package of that name is found by its imports only
from .run import Run
from .snapshots.options import Snapshots

__version__ = "0.1.0"

from .start import init  # after __version__, which the hello carries

__all__ = [
    "ConfigError",
    "Controls",
    "Curriculum",
    "LossguardError",
    "NonFiniteStep",
    "NotAScalar",
    "Ramp",
    "Run",
    "Snapshots",
    "Stage",
    "UnknownComponent",
    "__version__",
    "at_least",
    "at_most",
    "blend",
    "bounded",
    "counted",
    "init",
    "matrix",
    "preflight",
    "psd",
    "ramp",
    "ranged",
    "ratio",
    "share",
]
