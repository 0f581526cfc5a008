-- Redshift's system views and functions that PostgreSQL lacks, on the database's search path.
create schema redshift;
grant usage on schema redshift to public;

create view redshift.svv_columns as
select
    table_catalog, table_schema, table_name, column_name, ordinal_position, column_default,
    is_nullable, data_type, character_maximum_length, numeric_precision, numeric_precision_radix,
    numeric_scale, datetime_precision,
    col_description(
        to_regclass(format('%I.%I', table_schema, table_name)), ordinal_position::integer
    ) as remarks
from information_schema.columns;

create view redshift.svv_tables as
select
    table_catalog, table_schema, table_name, table_type,
    obj_description(
        to_regclass(format('%I.%I', table_schema, table_name)), 'pg_class'
    ) as remarks
from information_schema.tables;

create view redshift.svv_redshift_columns as
select
    table_catalog as database_name, table_schema as schema_name, table_name, column_name,
    ordinal_position, data_type, column_default, is_nullable, 'none'::text as encoding,
    false as distkey, 0 as sortkey
from information_schema.columns;

create view redshift.svv_all_schemas as
select catalog_name as database_name, schema_name, schema_owner, 'local'::text as schema_type
from information_schema.schemata;

create function redshift.getdate() returns timestamp language sql stable as
    'select localtimestamp(0)';
create function redshift.len(text) returns integer language sql immutable as 'select length($1)';
create function redshift.strtol(text, integer) returns bigint language sql immutable as $$
    select case $2
        when 16 then ('x' || lpad($1, 16, '0'))::bit(64)::bigint
        when 10 then $1::bigint
    end
$$;

grant select on all tables in schema redshift to public;
do $$ begin
    execute format(
        'alter database %I set search_path = "$user", public, redshift', current_database()
    );
end $$;
