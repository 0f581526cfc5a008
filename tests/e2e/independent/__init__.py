"""What the KPIs should be: DuckDB over the raw inputs, in SQL written from the definitions and
apart from the models.
"""

from .comparison import differences
from .expected import TABLES, Expected

__all__ = ["TABLES", "Expected", "differences"]
