-- As create_unless_under_way, one after the other, for runs that nobody owns and that have no key: id, pipeline, asset,
-- request, instants, steps and priority of each, and $8: whether it joins one. Whoever asks has their locks: lock_identities.
select given.id as wanted, created.id, created.is_new
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bigint[], $7::integer[],
    $8::boolean[]) with ordinality as given(id, pipeline, asset, request, created_at, total, priority, joins, place)
cross join lateral flowstone.create_unless_under_way(given.id, given.pipeline, given.asset, given.request,
    given.created_at, null, null, given.total, null, given.priority, case when given.joins then '{}'::text[] end) as created
order by given.place
