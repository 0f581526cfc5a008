-- Which shops fail a check, and which are withheld.

alter table shoplake.check_results add column shops varchar(4096);

comment on column shoplake.check_results.shops is 'The first shops that fail, separated by commas; (none): rows without a shop; null if it passed';
comment on column shoplake.check_results.severity is 'error: new rows of failing shops are withheld; warn: only reported';
