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

-- Views `with no schema binding`. PostgreSQL binds a view to existing tables and keeps their
-- columns from being dropped. So such a view exists here while its query is valid: it is dropped
-- before ALTER TABLE, and created again after each statement that changes tables.
create table redshift.late_binding_views (
    name text primary key, query text not null
);

create procedure redshift.bind_views() language plpgsql as $$
declare
    late record;
begin
    for late in select * from redshift.late_binding_views order by name loop
        begin
            if to_regclass(late.name) is null then
                execute format('create view %s as %s', late.name, late.query);
            end if;
        exception when undefined_table or undefined_column or invalid_schema_name then
            raise debug 'the view % reads what does not exist', late.name;
        when duplicate_table or unique_violation then
            raise debug 'another transaction has created the view %', late.name;
        end;
    end loop;
end
$$;

create procedure redshift.drop_view_if_exists(dropped text) language plpgsql as $$
begin
    delete from redshift.late_binding_views where name = dropped;
    execute format('drop view if exists %s', dropped);
end
$$;

create procedure redshift.create_late_binding_view(created text, definition text)
language plpgsql as $$
begin
    call redshift.drop_view_if_exists(created);
    insert into redshift.late_binding_views values (created, definition);
    call redshift.bind_views();
end
$$;

create function redshift.before_alter() returns event_trigger language plpgsql as $$
declare
    late record;
begin
    for late in select * from redshift.late_binding_views loop
        execute format('drop view if exists %s', late.name);
    end loop;
end
$$;

create function redshift.after_change() returns event_trigger language plpgsql as $$
begin
    call redshift.bind_views();
end
$$;

create event trigger shoplake_before_alter on ddl_command_start
    when tag in ('ALTER TABLE') execute function redshift.before_alter();
create event trigger shoplake_after_change on ddl_command_end
    when tag in ('ALTER TABLE', 'CREATE TABLE', 'CREATE TABLE AS')
    execute function redshift.after_change();

grant select on all tables in schema redshift to public;
do $$ begin
    execute format(
        'alter database %I set search_path = "$user", public, redshift', current_database()
    );
end $$;
