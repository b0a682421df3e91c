"""What happens inside a model while it learns: norms, dead and saturated units, what is wrong."""

from onepass.diagnosis.patterns import warnings_of
from onepass.diagnosis.report import LayerReport, Report, diagnose

__all__ = ["LayerReport", "Report", "diagnose", "warnings_of"]
