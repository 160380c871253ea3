-- Runs that nobody owns: id, pipeline, asset, request, instants, steps and priority of each.
insert into flowstone.runs (id, pipeline, asset, request, status, created_at, total, priority, submitted)
select given.id, given.pipeline, given.asset, given.request::json, 'queued', given.created_at, given.total, given.priority, true
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bigint[], $7::integer[])
    with ordinality as given(id, pipeline, asset, request, created_at, total, priority, place)
order by given.place
on conflict do nothing
returning id
