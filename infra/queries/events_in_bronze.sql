-- What did sources send in the last hours, before anybody looked at it? Per dataset, shop and hour
-- of arrival of the web's and the CRM's streams: how many envelopes, and one of them. Where silver
-- lacks something, this tells whether it ever came.

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
