-- Comments in the terms of today; a released migration never changes.

comment on table shoplake.check_runs is 'One row per model and partition: the run of its newest results';
comment on table shoplake.check_results is 'One row per model, partition and check: its newest result';
comment on column shoplake.check_results.severity is 'error: no commit while it fails; warn: only reported';
comment on column shoplake.check_results.description is 'What the check requires of every row';
comment on column shoplake.check_results.failed_rows is 'Number of failed rows; 0 if it passed';
comment on column shoplake.check_results.sample is 'Some failed rows, a JSON array; null if it passed';
