"""What the KPIs should be: DuckDB over the raw inputs, in SQL written from the definitions and apart from the models."""

from .expected import TABLES, Expected
from .comparison import differences

__all__ = ["TABLES", "Expected", "differences"]
