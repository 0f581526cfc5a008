-- Which views of the marts the deployments have created: they replace and drop no others.

create table shoplake.views (
    name varchar(256) not null,
    checksum varchar(64) not null,
    replaced_at timestamp not null,
    primary key (name)
);

comment on table shoplake.views is 'One row per view of a mart that a migration has created';
comment on column shoplake.views.name is 'The view, as schema.view';
comment on column shoplake.views.checksum is 'SHA-256 of its definition';
comment on column shoplake.views.replaced_at is 'When it was created or replaced (UTC)';
