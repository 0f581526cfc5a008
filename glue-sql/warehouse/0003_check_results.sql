-- What the checks found, for people and for the quality page of a report: the newest results only.

create table shoplake.check_runs (
    model varchar(256) not null,
    partition_value varchar(256) not null,
    job varchar(256),
    version bigint,
    planned_at timestamp,
    primary key (model, partition_value)
);

comment on table shoplake.check_runs is 'One row per model and partition: the run whose check results are shown. Recordings take turns on it';
comment on column shoplake.check_runs.model is 'The model; for the freshness of a dataset, the dataset';
comment on column shoplake.check_runs.partition_value is 'The partition, such as 2010-12-01; - for a dataset as a whole';
comment on column shoplake.check_runs.job is 'Id of the job that ran the checks; null before the first results';
comment on column shoplake.check_runs.version is 'Number of the gold commit that the run made, or would have made';
comment on column shoplake.check_runs.planned_at is 'When the inputs of the run were listed (UTC): a run that was planned earlier never replaces it';

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

comment on table shoplake.check_results is 'One row per model, partition and check: what its newest run came to';
comment on column shoplake.check_results.model is 'The model; for the freshness of a dataset, the dataset';
comment on column shoplake.check_results.partition_value is 'The partition, such as 2010-12-01; - for a dataset as a whole';
comment on column shoplake.check_results.severity is 'stop: nothing is committed while it fails; warn: it is only reported';
comment on column shoplake.check_results.description is 'What the check makes sure of';
comment on column shoplake.check_results.status is 'passed or failed';
comment on column shoplake.check_results.failed_rows is 'How many rows were wrong; 0 if it passed';
comment on column shoplake.check_results.sample is 'Some of the wrong rows, a JSON array of objects; null if it passed';
comment on column shoplake.check_results.job is 'Id of the job that ran the check';
comment on column shoplake.check_results.version is 'Number of the gold commit that the run made, or would have made';
comment on column shoplake.check_results.checked_at is 'When the result was recorded (UTC)';
