-- Loads are in the order of (planned_at, version): versions restart at 1 when gold is deleted.

alter table shoplake.loads add column planned_at timestamp;

comment on column shoplake.loads.planned_at is 'When its inputs were listed (UTC): nothing planned earlier replaces it; null: loaded before this column';
comment on column shoplake.loads.version is 'Number of the gold commit, 0 before the first load; restarts at 1 when gold is deleted';
