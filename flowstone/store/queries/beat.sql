-- $1: the node, $2: its clock; returns whether its lease had run out and whether it has left, and nothing if it is not
-- known any more.
with before as materialized (
    select id, expires_at < clock_timestamp() as late, gone from flowstone.nodes where id = $1 for update
), beaten as (
    update flowstone.nodes set beat_at = clock_timestamp(),
        expires_at = clock_timestamp() + make_interval(secs => nodes.lease),
        clock_skew = $2 - extract(epoch from clock_timestamp())
    from before where nodes.id = before.id and not before.gone
)
select before.late, before.gone from before
