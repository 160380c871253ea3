-- $1: id, $2: host, $3: pid, $4: version, $5: pipelines, $6: capacity, $7: lease, $8: the node's clock.
with joined as (
    insert into flowstone.nodes as known (id, host, pid, version, pipelines, capacity, lease, beats, joined_at, beat_at,
        clock_skew)
    values ($1, $2, $3, $4, $5, $6, $7, 1, clock_timestamp(), clock_timestamp(),
        $8 - extract(epoch from clock_timestamp()))
    on conflict (id) do update set pipelines = excluded.pipelines, capacity = excluded.capacity,
        lease = excluded.lease, gone = false, beats = known.beats + 1, beat_at = excluded.beat_at
    returning 1
)
select pg_notify('flowstone', 'nodes:') from joined
