-- $1: a pipeline; $2: a name; $3: keys; $4: the run of each.
insert into flowstone.automation_keys (pipeline, name, key, run_id)
select $1, $2, given.key, given.run_id from unnest($3::text[], $4::text[]) as given(key, run_id)
