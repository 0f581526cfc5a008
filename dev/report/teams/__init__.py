"""The teams' sections, each from its own marts."""

from __future__ import annotations

from ..model import Section
from ..warehouse import Mart, Warehouse
from .finance import finance
from .marketing import marketing
from .operations import open_alerts_of, operations
from .sales import sales
from .support import support

MARTS = {
    "sales.total_sales_by_region_product": "business_date",
    "sales.stock_availability": "stock_date",
    "sales.product_turnover_rate": "business_date",
    "marketing.customer_engagement_score": "activity_date",
    "marketing.session_duration_bounce_rate": "session_date",
    "marketing.loyalty_activity_rate": "activity_date",
    "operations.inventory_turnover": "business_date",
    "operations.restock_frequency": "stock_date",
    "operations.stockout_alerts": "alert_date",
    "support.feedback_score": "interaction_date",
    "support.interaction_volume_by_type": "interaction_date",
    "support.time_to_resolution": "resolution_date",
    "finance.revenue_by_region": "business_date",
}


def sections(warehouse: Warehouse, shop: str, prefix: str) -> list[Section]:
    """All teams of a shop; `prefix` makes the keys of their charts and tables unique within the
    page.
    """

    def mart(table: str) -> Mart:
        return Mart(warehouse, table, MARTS[table], shop)

    return [
        sales(
            mart("sales.total_sales_by_region_product"),
            mart("sales.stock_availability"),
            mart("sales.product_turnover_rate"),
            f"{prefix}-sales",
        ),
        marketing(
            mart("marketing.customer_engagement_score"),
            mart("marketing.session_duration_bounce_rate"),
            mart("marketing.loyalty_activity_rate"),
            f"{prefix}-marketing",
        ),
        operations(
            mart("operations.inventory_turnover"),
            mart("operations.restock_frequency"),
            mart("operations.stockout_alerts"),
            open_alerts_of(warehouse, shop),
            f"{prefix}-operations",
        ),
        support(
            mart("support.feedback_score"),
            mart("support.interaction_volume_by_type"),
            mart("support.time_to_resolution"),
            f"{prefix}-support",
        ),
        finance(mart("finance.revenue_by_region"), f"{prefix}-finance"),
    ]
