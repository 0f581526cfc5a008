-- The marts as their first loads create them, for tests that need no pipeline.
create table sales.total_sales_by_region_product (
    shop_id varchar(256), business_date date, region varchar(256), product_id varchar(256),
    currency varchar(256), gross_sales numeric(18, 4), discounts numeric(18, 4),
    net_sales numeric(18, 4), units_sold bigint, units_returned bigint, transactions bigint
);
create table sales.stock_availability (
    shop_id varchar(256), stock_date date, location_id varchar(256), product_id varchar(256),
    snapshots bigint, on_hand bigint, reserved bigint, available bigint, last_snapshot_at timestamp,
    availability_rate double precision
);
create table sales.product_turnover_rate (
    shop_id varchar(256), business_date date, product_id varchar(256), units_sold_30d bigint,
    average_on_hand_30d double precision, turnover_rate double precision
);
create table marketing.customer_engagement_score (
    shop_id varchar(256), activity_date date, customer_id varchar(256), events bigint,
    score numeric(18, 4), score_rank bigint
);
create table marketing.session_duration_bounce_rate (
    shop_id varchar(256), session_date date, sessions bigint,
    average_duration_seconds double precision, median_duration_seconds double precision,
    bounces bigint, bounce_rate double precision
);
create table marketing.loyalty_activity_rate (
    shop_id varchar(256), activity_date date, loyalty_customers bigint, active_customers bigint,
    loyalty_activity_rate double precision
);
create table operations.inventory_turnover (
    shop_id varchar(256), business_date date, currency varchar(256),
    cost_of_goods_sold_30d numeric(18, 4), average_inventory_value_30d double precision,
    turnover double precision
);
create table operations.restock_frequency (
    shop_id varchar(256), stock_date date, location_id varchar(256), product_id varchar(256),
    restocks_30d bigint, restocked_quantity_30d bigint, mean_days_between double precision,
    days_since_last double precision
);
create table operations.stockout_alerts (
    shop_id varchar(256), alert_date date, location_id varchar(256), product_id varchar(256),
    state varchar(256), started_at timestamp, ended_at timestamp, on_hand bigint, reserved bigint,
    available bigint, reorder_point bigint
);
create table support.feedback_score (
    shop_id varchar(256), interaction_date date, channel varchar(256), responses bigint,
    average_rating double precision, satisfied bigint, csat double precision
);
create table support.interaction_volume_by_type (
    shop_id varchar(256), interaction_date date, channel varchar(256),
    interaction_type varchar(256), interactions bigint, distinct_customers bigint
);
create table support.time_to_resolution (
    shop_id varchar(256), resolution_date date, tickets_resolved bigint,
    average_hours double precision, median_hours double precision, p90_hours double precision,
    tickets_without_opening bigint, open_tickets bigint, open_under_1_day bigint,
    open_1_to_3_days bigint, open_3_to_7_days bigint, open_over_7_days bigint
);
create table finance.revenue_by_region (
    shop_id varchar(256), business_date date, region varchar(256), currency varchar(256),
    gross_sales numeric(18, 4), returns numeric(18, 4), discounts numeric(18, 4),
    net_revenue numeric(18, 4), cost_of_goods numeric(18, 4), gross_margin numeric(18, 4),
    units_without_cost bigint
);
