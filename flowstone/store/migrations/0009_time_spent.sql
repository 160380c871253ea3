-- For how long a run with a timeout was driven: its owners measure that by clocks that nobody can step.

alter table flowstone.runs add column spent double precision not null default 0;
comment on column flowstone.runs.spent is 'Seconds for which it was driven, as its owners measured them; of runs with a timeout.';
