-- The inputs as typed tables, from `raw (dataset, shop_id, data, batch, run)`, which has every row
-- of the sources, repetitions and invalid rows included, and from `control_totals`. Follows the
-- contracts: a row that breaks its contract does not count, of rows with the same key the one with
-- the highest version counts, and of the deliveries of a batch the newest complete one.
create or replace macro is_absent(v) as coalesce(json_type(v), 'NULL') = 'NULL';
create or replace macro is_text(v, longest) as json_type(v) = 'VARCHAR'
    and length(v->>'$') between 1 and longest;
create or replace macro is_text_or_absent(v, shortest, longest) as is_absent(v)
    or (json_type(v) = 'VARCHAR' and length(v->>'$') between shortest and longest);
create or replace macro is_one_of(v, words) as json_type(v) = 'VARCHAR'
    and list_contains(words, v->>'$');
create or replace macro is_whole(v, low, high) as json_type(v) in ('BIGINT', 'UBIGINT')
    and try_cast(v->>'$' as hugeint) between low and high;
create or replace macro is_whole_or_absent(v, low, high) as is_absent(v) or is_whole(v, low, high);
create or replace macro is_money(v) as json_type(v) = 'VARCHAR'
    and regexp_full_match(v->>'$', '(0|[1-9][0-9]{0,13})(\.[0-9]{1,4})?');
create or replace macro is_currency(v) as json_type(v) = 'VARCHAR'
    and regexp_full_match(v->>'$', '[A-Z]{3}');
create or replace macro is_day(v) as json_type(v) = 'VARCHAR'
    and regexp_full_match(v->>'$', '20[0-9]{2}-[0-9]{2}-[0-9]{2}')
    and try_cast(v->>'$' as date) is not null;
create or replace macro is_time(v) as json_type(v) = 'VARCHAR'
    and regexp_full_match(
        v->>'$',
        '20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?'
        || '(Z|[+-][0-9]{2}:[0-9]{2})'
    )
    and try_cast(v->>'$' as timestamptz) is not null;
create or replace macro to_time(v) as cast(v->>'$' as timestamptz) at time zone 'UTC';

create or replace table fields_of_web_traffic as
select shop_id, data, json_transform(
    data,
    '{"event_id": "JSON", "session_id": "JSON", "visitor_id": "JSON", "customer_id": "JSON",
     "event_type": "JSON", "occurred_at": "JSON", "page_url": "JSON", "page_title": "JSON",
     "referrer": "JSON", "product_id": "JSON", "quantity": "JSON", "search_term": "JSON",
     "search_results": "JSON", "order_id": "JSON", "order_value": "JSON", "currency": "JSON",
     "user_agent": "JSON", "device": "JSON", "country": "JSON", "language": "JSON", "utm": "JSON",
     "duration_ms": "JSON"}'
) as fields
from raw
where dataset = 'web_traffic';

create or replace view valid_web_traffic as
select *
from fields_of_web_traffic
where is_text(fields.event_id, 64)
    and is_text(fields.session_id, 64)
    and is_text(fields.visitor_id, 64)
    and is_text_or_absent(fields.customer_id, 1, 64)
    and is_one_of(
        fields.event_type,
        [
            'page_view', 'product_view', 'search', 'add_to_cart', 'remove_from_cart', 'checkout',
            'purchase'
        ]
    )
    and is_time(fields.occurred_at)
    and is_text(fields.page_url, 2048)
    and regexp_matches(fields.page_url->>'$', '^https?://')
    and is_text_or_absent(fields.page_title, 0, 512)
    and is_text_or_absent(fields.referrer, 0, 2048)
    and is_text_or_absent(fields.product_id, 1, 64)
    and is_whole_or_absent(fields.quantity, 1, 1000000)
    and is_text_or_absent(fields.search_term, 0, 512)
    and is_whole_or_absent(fields.search_results, 0, 1000000000)
    and is_text_or_absent(fields.order_id, 1, 64)
    and (is_absent(fields.order_value) or is_money(fields.order_value))
    and (is_absent(fields.currency) or is_currency(fields.currency))
    and is_text_or_absent(fields.user_agent, 0, 1024)
    and (is_absent(fields.device) or json_type(fields.device) = 'OBJECT')
    and (
        is_absent(fields.device->'type')
        or is_one_of(fields.device->'type', ['mobile', 'desktop', 'tablet', 'tv', 'bot', 'other'])
    )
    and is_text_or_absent(fields.device->'os', 0, 64)
    and is_text_or_absent(fields.device->'browser', 0, 64)
    and is_whole_or_absent(fields.device->'screen_width', 0, 100000)
    and is_whole_or_absent(fields.device->'screen_height', 0, 100000)
    and (is_absent(fields.country) or regexp_full_match(fields.country->>'$', '[A-Z]{2}'))
    and is_text_or_absent(fields.language, 0, 35)
    and (is_absent(fields.utm) or json_type(fields.utm) = 'OBJECT')
    and is_text_or_absent(fields.utm->'source', 0, 256)
    and is_text_or_absent(fields.utm->'medium', 0, 256)
    and is_text_or_absent(fields.utm->'campaign', 0, 256)
    and is_text_or_absent(fields.utm->'term', 0, 256)
    and is_text_or_absent(fields.utm->'content', 0, 256)
    and is_whole_or_absent(fields.duration_ms, 0, 86400000);

create or replace table web_traffic as
select
    shop_id,
    fields.event_id->>'$' as event_id,
    fields.session_id->>'$' as session_id,
    fields.customer_id->>'$' as customer_id,
    fields.event_type->>'$' as event_type,
    to_time(fields.occurred_at) as occurred_at
from valid_web_traffic
qualify row_number() over (partition by shop_id, event_id order by occurred_at) = 1;

create or replace table fields_of_crm_interactions as
select shop_id, data, json_transform(
    data,
    '{"interaction_id": "JSON", "customer_id": "JSON", "channel": "JSON",
     "interaction_type": "JSON", "ticket_id": "JSON", "ticket_status": "JSON", "rating": "JSON",
     "subject": "JSON", "comment": "JSON", "agent_id": "JSON", "order_id": "JSON",
     "product_id": "JSON", "loyalty_points": "JSON", "duration_ms": "JSON", "occurred_at": "JSON"}'
) as fields
from raw
where dataset = 'crm_interactions';

create or replace view valid_crm_interactions as
select *
from fields_of_crm_interactions
where is_text(fields.interaction_id, 64)
    and is_text(fields.customer_id, 64)
    and is_one_of(fields.channel, ['email', 'phone', 'chat', 'social', 'in_store'])
    and is_one_of(
        fields.interaction_type,
        [
            'inquiry', 'complaint', 'feedback', 'support_ticket', 'loyalty_signup', 'loyalty_earn',
            'loyalty_redeem'
        ]
    )
    and is_text_or_absent(fields.ticket_id, 1, 64)
    and (
        is_absent(fields.ticket_status)
        or is_one_of(fields.ticket_status, ['opened', 'pending', 'resolved'])
    )
    and is_whole_or_absent(fields.rating, 1, 5)
    and is_text_or_absent(fields.subject, 0, 512)
    and is_text_or_absent(fields.comment, 0, 8192)
    and is_text_or_absent(fields.agent_id, 1, 64)
    and is_text_or_absent(fields.order_id, 1, 64)
    and is_text_or_absent(fields.product_id, 1, 64)
    and is_whole_or_absent(fields.loyalty_points, -1000000000, 1000000000)
    and is_whole_or_absent(fields.duration_ms, 0, 86400000)
    and is_time(fields.occurred_at);

create or replace table crm_interactions as
select
    shop_id,
    fields.interaction_id->>'$' as interaction_id,
    fields.customer_id->>'$' as customer_id,
    fields.channel->>'$' as channel,
    fields.interaction_type->>'$' as interaction_type,
    fields.ticket_id->>'$' as ticket_id,
    fields.ticket_status->>'$' as ticket_status,
    cast(fields.rating->>'$' as bigint) as rating,
    to_time(fields.occurred_at) as occurred_at
from valid_crm_interactions
qualify row_number() over (partition by shop_id, interaction_id order by occurred_at desc) = 1;

create or replace table fields_of_newsletter_events as
select shop_id, data, json_transform(
    data,
    '{"event_id": "JSON", "customer_id": "JSON", "event_type": "JSON", "occurred_at": "JSON",
     "campaign": "JSON"}'
) as fields
from raw
where dataset = 'newsletter_events';

create or replace view valid_newsletter_events as
select *
from fields_of_newsletter_events
where is_text(fields.event_id, 64)
    and is_text(fields.customer_id, 64)
    and is_one_of(fields.event_type, ['subscribe', 'unsubscribe', 'open'])
    and is_time(fields.occurred_at)
    and is_text_or_absent(fields.campaign, 1, 256);

create or replace table newsletter_events as
select
    shop_id,
    fields.event_id->>'$' as event_id,
    fields.customer_id->>'$' as customer_id,
    fields.event_type->>'$' as event_type,
    to_time(fields.occurred_at) as occurred_at,
    cast(to_time(fields.occurred_at) as date) as event_date
from valid_newsletter_events
qualify row_number() over (partition by shop_id, event_id, event_date order by occurred_at) = 1;

create or replace table fields_of_pos_sales as
select shop_id, data, batch, run, json_transform(
    data,
    '{"transaction_id": "JSON", "line_no": "JSON", "store_id": "JSON", "region": "JSON",
     "product_id": "JSON", "product_name": "JSON", "quantity": "JSON", "unit_price": "JSON",
     "discount": "JSON", "unit_cost": "JSON", "currency": "JSON", "customer_id": "JSON",
     "payment_method": "JSON", "sold_at": "JSON", "business_date": "JSON"}'
) as fields
from raw
where dataset = 'pos_sales';

create or replace view valid_pos_sales as
select *
from fields_of_pos_sales
where is_text(fields.transaction_id, 64)
    and is_whole(fields.line_no, 1, 100000)
    and is_text(fields.store_id, 64)
    and is_text(fields.region, 128)
    and is_text(fields.product_id, 64)
    and is_text_or_absent(fields.product_name, 0, 512)
    and is_whole(fields.quantity, -1000000, 1000000)
    and cast(fields.quantity->>'$' as bigint) <> 0
    -- A line with another price corrects stock or debt and is not a sale.
    and is_money(fields.unit_price)
    and try_cast(fields.unit_price->>'$' as decimal(18, 4)) > 0
    and json_type(fields.discount) = 'VARCHAR'
    and regexp_full_match(fields.discount->>'$', '-?(0|[1-9][0-9]{0,13})(\.[0-9]{1,4})?')
    and (is_absent(fields.unit_cost) or is_money(fields.unit_cost))
    and is_currency(fields.currency)
    and is_text_or_absent(fields.customer_id, 1, 64)
    and (
        is_absent(fields.payment_method)
        or is_one_of(
            fields.payment_method, ['card', 'cash', 'voucher', 'invoice', 'mobile', 'other']
        )
    )
    and is_time(fields.sold_at)
    and is_day(fields.business_date);

create or replace table fields_of_inventory_levels as
select shop_id, data, batch, run, json_transform(
    data,
    '{"location_id": "JSON", "product_id": "JSON", "location_name": "JSON", "product_name": "JSON",
     "snapshot_at": "JSON", "on_hand": "JSON", "reserved": "JSON", "reorder_point": "JSON",
     "unit_cost": "JSON", "currency": "JSON", "restocked_quantity": "JSON",
     "last_restocked_at": "JSON"}'
) as fields
from raw
where dataset = 'inventory_levels';

create or replace view valid_inventory_levels as
select *
from fields_of_inventory_levels
where is_text(fields.location_id, 64)
    and is_text(fields.product_id, 64)
    and is_text_or_absent(fields.location_name, 0, 512)
    and is_text_or_absent(fields.product_name, 0, 512)
    and is_time(fields.snapshot_at)
    and is_whole(fields.on_hand, -1000000000, 1000000000)
    and is_whole(fields.reserved, 0, 1000000000)
    and is_whole(fields.reorder_point, 0, 1000000000)
    and is_money(fields.unit_cost)
    and is_currency(fields.currency)
    and is_whole(fields.restocked_quantity, 0, 1000000000)
    and (is_absent(fields.last_restocked_at) or is_time(fields.last_restocked_at));

-- The rows of deliveries, each with what identifies it and with the quantity that its control total
-- adds up. Rows that break their contract have arrived, too; their quantity is not known.
create or replace view rows_of_deliveries as
select
    'pos_sales' as dataset,
    shop_id,
    coalesce(batch, fields.business_date->>'$') as batch,
    run,
    (fields.transaction_id->>'$') || '/' || cast(fields.line_no->>'$' as bigint) as line,
    cast(fields.quantity->>'$' as bigint) as quantity
from valid_pos_sales
union
select
    'inventory_levels' as dataset,
    shop_id,
    coalesce(batch, strftime(to_time(fields.snapshot_at), '%Y-%m-%dT%H')) as batch,
    run,
    (fields.location_id->>'$') || '/' || (fields.product_id->>'$') as line,
    cast(fields.on_hand->>'$' as bigint) as quantity
from valid_inventory_levels;

create or replace view rejected_rows as
select
    'pos_sales' as dataset,
    shop_id,
    batch,
    run,
    (fields.transaction_id->>'$') || '/' || (fields.line_no->>'$') as line,
    cast(data as varchar) as text
from fields_of_pos_sales
where cast(data as varchar) not in (select cast(data as varchar) from valid_pos_sales)
union
select
    'inventory_levels' as dataset,
    shop_id,
    batch,
    run,
    (fields.location_id->>'$') || '/' || (fields.product_id->>'$') as line,
    cast(data as varchar) as text
from fields_of_inventory_levels
where cast(data as varchar) not in (select cast(data as varchar) from valid_inventory_levels);

-- A delivery is complete if its rows are as many as its control total says and, unless some were
-- rejected, if their quantities add up to its sum.
create or replace table complete_deliveries as
select totals.dataset, totals.shop_id, totals.batch, totals.run
from control_totals as totals
where totals.row_count = (
    select count(*)
    from rows_of_deliveries as accepted
    where (accepted.dataset, accepted.shop_id, accepted.batch, accepted.run)
        = (totals.dataset, totals.shop_id, totals.batch, totals.run)
) + (
    select count(*)
    from rejected_rows as rejected
    where (rejected.dataset, rejected.shop_id, rejected.batch, rejected.run)
        = (totals.dataset, totals.shop_id, totals.batch, totals.run)
)
and (
    exists (
        select 1
        from rejected_rows as rejected
        where (rejected.dataset, rejected.shop_id, rejected.batch, rejected.run)
            = (totals.dataset, totals.shop_id, totals.batch, totals.run)
    )
    or totals.quantity_sum = (
        select coalesce(sum(accepted.quantity), 0)
        from rows_of_deliveries as accepted
        where (accepted.dataset, accepted.shop_id, accepted.batch, accepted.run)
            = (totals.dataset, totals.shop_id, totals.batch, totals.run)
    )
);

-- The delivery that counts for each row: the newest complete one of the batch; for a row that this
-- one has in rejected form, the newest complete one that has it in valid form; and rows without a
-- delivery if no delivery of the batch is complete.
create or replace table counted_rows as
with newest as (
    select dataset, shop_id, batch, max(run) as run
    from complete_deliveries
    group by dataset, shop_id, batch
),

kept as (
    select accepted.dataset, accepted.shop_id, accepted.batch, accepted.line,
        max(accepted.run) as run
    from rows_of_deliveries as accepted
    semi join complete_deliveries using (dataset, shop_id, batch, run)
    inner join newest using (dataset, shop_id, batch)
    semi join rejected_rows as rejected
        on (rejected.dataset, rejected.shop_id, rejected.batch, rejected.run, rejected.line)
        = (newest.dataset, newest.shop_id, newest.batch, newest.run, accepted.line)
    group by accepted.dataset, accepted.shop_id, accepted.batch, accepted.line
)

select distinct accepted.dataset, accepted.shop_id, accepted.batch, accepted.run, accepted.line
from rows_of_deliveries as accepted
left join newest using (dataset, shop_id, batch)
left join kept using (dataset, shop_id, batch, line)
where accepted.run is not distinct from newest.run
    or accepted.run = kept.run;

create or replace table pos_sales as
select
    shop_id,
    fields.transaction_id->>'$' as transaction_id,
    cast(fields.line_no->>'$' as bigint) as line_no,
    fields.region->>'$' as region,
    fields.product_id->>'$' as product_id,
    cast(fields.quantity->>'$' as bigint) as quantity,
    cast(fields.unit_price->>'$' as decimal(18, 4)) as unit_price,
    cast(fields.discount->>'$' as decimal(18, 4)) as discount,
    cast(fields.unit_cost->>'$' as decimal(18, 4)) as unit_cost,
    fields.currency->>'$' as currency,
    fields.customer_id->>'$' as customer_id,
    cast(fields.business_date->>'$' as date) as business_date
from valid_pos_sales as valid
where exists (
    select 1
    from counted_rows as counted
    where counted.dataset = 'pos_sales'
        and counted.shop_id = valid.shop_id
        and counted.batch = coalesce(valid.batch, fields.business_date->>'$')
        and counted.run is not distinct from valid.run
        and counted.line
        = (fields.transaction_id->>'$') || '/' || cast(fields.line_no->>'$' as bigint)
)
qualify row_number() over (
    partition by shop_id, transaction_id, line_no order by business_date
) = 1;

create or replace table inventory_levels as
select
    shop_id,
    fields.location_id->>'$' as location_id,
    fields.product_id->>'$' as product_id,
    to_time(fields.snapshot_at) as snapshot_at,
    cast(fields.on_hand->>'$' as bigint) as on_hand,
    cast(fields.reserved->>'$' as bigint) as reserved,
    cast(fields.on_hand->>'$' as bigint) - cast(fields.reserved->>'$' as bigint) as available,
    cast(fields.reorder_point->>'$' as bigint) as reorder_point,
    cast(fields.unit_cost->>'$' as decimal(18, 4)) as unit_cost,
    fields.currency->>'$' as currency,
    cast(fields.restocked_quantity->>'$' as bigint) as restocked_quantity,
    to_time(fields.last_restocked_at) as last_restocked_at
from valid_inventory_levels as valid
where exists (
    select 1
    from counted_rows as counted
    where counted.dataset = 'inventory_levels'
        and counted.shop_id = valid.shop_id
        and counted.batch
        = coalesce(valid.batch, strftime(to_time(fields.snapshot_at), '%Y-%m-%dT%H'))
        and counted.run is not distinct from valid.run
        and counted.line = (fields.location_id->>'$') || '/' || (fields.product_id->>'$')
)
qualify row_number() over (
    partition by shop_id, location_id, product_id, snapshot_at order by on_hand
) = 1;
