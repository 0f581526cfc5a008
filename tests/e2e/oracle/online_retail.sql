-- Days of UCI's "Online Retail" as the rows of a POS API: Country is the region, InvoiceNo the
-- receipt, and a line's number its position in the receipt. The files write customers' numbers as
-- decimals (17850.0). The variables `files` and `shop_id` name the days and the shop.
insert into raw (dataset, shop_id, data)
with lines as (
    select *, row_number() over () as position
    from read_csv(getvariable('files'), header = true, all_varchar = true, filename = true)
)
select
    'pos_sales',
    getvariable('shop_id'),
    json_object(
        'transaction_id', InvoiceNo,
        'line_no', row_number() over (partition by filename, InvoiceNo order by position),
        'store_id', 'online',
        'region', Country,
        'product_id', StockCode,
        'product_name', Description,
        'quantity', try_cast(Quantity as bigint),
        'unit_price', UnitPrice,
        'discount', '0',
        'currency', 'GBP',
        'customer_id', regexp_replace(CustomerID, '\.0$', ''),
        'sold_at', replace(InvoiceDate, ' ', 'T') || 'Z',
        'business_date', regexp_extract(filename, '[0-9]{4}-[0-9]{2}-[0-9]{2}')
    )
from lines;
