-- What the pipeline itself keeps in the warehouse.

create schema if not exists shoplake;

comment on schema shoplake is 'What the pipeline keeps about itself';

create table shoplake.migrations (
    name varchar(256) not null,
    checksum varchar(64) not null,
    applied_at timestamp not null,
    primary key (name)
);

comment on table shoplake.migrations is 'One row per applied migration of glue-sql/warehouse';
comment on column shoplake.migrations.checksum is 'SHA-256 of the text that was applied';

create table shoplake.loads (
    model varchar(256) not null,
    partition_value varchar(256) not null,
    version bigint not null,
    row_count bigint,
    gold_key varchar(1024),
    loaded_at timestamp,
    primary key (model, partition_value)
);

comment on table shoplake.loads is 'One row per model and partition: the version of gold that the marts show';
comment on column shoplake.loads.version is 'Number of the gold commit, 0 before the first load; never decreases';
comment on column shoplake.loads.row_count is 'Rows of that version; null before the first load';
comment on column shoplake.loads.gold_key is 'Key of the gold object that was loaded';
comment on column shoplake.loads.loaded_at is 'When the load ran (UTC)';
