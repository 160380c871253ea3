-- A run that nobody owns; nothing is returned if an unfinished run has its key, or if it is there already.
insert into flowstone.runs (id, pipeline, asset, request, status, created_at, started_at, total, key, priority, submitted)
values ($1, $2, $3, $4::json, 'queued', $5, $6, $7, $8, $9, true)
on conflict do nothing
returning id
