-- What the checks found, for people and for the quality page of a report: the newest results only.

create table shoplake.check_runs (
    model varchar(256) not null,
    partition_value varchar(256) not null,
    job varchar(256),
    version bigint,
    planned_at timestamp,
    primary key (model, partition_value)
);

comment on table shoplake.check_runs is 'One row per model and partition: its newest checks';
comment on column shoplake.check_runs.model is 'The model or dataset';
comment on column shoplake.check_runs.partition_value is 'The partition; - for a dataset';
comment on column shoplake.check_runs.job is 'Id of the job; null before the first results';
comment on column shoplake.check_runs.version is 'Number of the gold commit of the run';
comment on column shoplake.check_runs.planned_at is 'When the inputs were listed (UTC)';

create table shoplake.check_results (
    model varchar(256) not null,
    partition_value varchar(256) not null,
    check_name varchar(256) not null,
    severity varchar(16) not null,
    description varchar(1024),
    status varchar(16) not null,
    failed_rows bigint not null,
    sample varchar(16384),
    job varchar(256) not null,
    version bigint not null,
    checked_at timestamp not null,
    primary key (model, partition_value, check_name)
);

comment on table shoplake.check_results is 'One row per partition and check: its newest result';
comment on column shoplake.check_results.model is 'The model or dataset';
comment on column shoplake.check_results.partition_value is 'The partition; - for a dataset';
comment on column shoplake.check_results.severity is 'error: no commit; warn: reported';
comment on column shoplake.check_results.description is 'What holds for every row';
comment on column shoplake.check_results.status is 'passed or failed';
comment on column shoplake.check_results.failed_rows is 'Number of failed rows';
comment on column shoplake.check_results.sample is 'Some failed rows, a JSON array';
comment on column shoplake.check_results.job is 'Id of the job that ran the check';
comment on column shoplake.check_results.version is 'Number of the gold commit of the run';
comment on column shoplake.check_results.checked_at is 'When the result was recorded (UTC)';
