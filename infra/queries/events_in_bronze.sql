-- Envelopes in bronze of the web and CRM streams in the last hours, by dataset, shop and hour of
-- arrival, with an example. Shows whether data missing in silver has arrived.

with envelopes as (
    select dataset, shopid, dt, hour, data
    from ${bronze}.web
    where dt >= current_date - interval '1' day
    union all
    select dataset, shopid, dt, hour, data
    from ${bronze}.crm
    where dt >= current_date - interval '1' day
)

select
    dataset,
    shopid as shop_id,
    dt,
    hour,
    count(*) as envelopes,
    count_if(json_extract(data, '$') is null) as without_data,
    arbitrary(data) as example
from envelopes
group by
    dataset,
    shopid,
    dt,
    hour
order by
    dt desc,
    hour desc,
    envelopes desc
