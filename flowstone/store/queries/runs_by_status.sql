-- $1: before this id, or null; $2: how many; $3: statuses. The newest of each status, then the newest of those.
select found.* from unnest($3::text[]) as wanted(status) cross join lateral (
    select runs.id, runs.pipeline, runs.asset, runs.request::text, runs.status, runs.created_at, runs.started_at, runs.finished_at,
    runs.owner, runs.epoch, runs.total, runs.key, runs.priority, runs.succeeded, runs.failed, runs.skipped,
    runs.reused, runs.cancelled
    from flowstone.runs where runs.status = wanted.status and ($1::text is null or runs.id < $1)
    order by runs.id desc limit $2
) as found
order by found.id desc limit $2
