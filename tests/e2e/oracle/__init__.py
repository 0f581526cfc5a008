"""The oracle: computes the KPIs with DuckDB from the raw inputs, by SQL that is written from the
definitions and shares no text with the models.
"""

from .comparison import differences
from .expected import TABLES, Expected

__all__ = ["TABLES", "Expected", "differences"]
