-- $1: a pipeline; $2: a name; $3: keys. Those by which runs were asked for, and the runs.
select key, run_id from flowstone.automation_keys where pipeline = $1 and name = $2 and key = any($3::text[])
