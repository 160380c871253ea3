-- $1: the run, $2: asset, $3: key. What was recorded last of how the attempts of a step go, but for its end. The start of a
-- first attempt may be in a row with others; few rows have the key, so few are taken apart.
select told.* from (
    (select events.number, events.kind, events.at, events.run_id, events.asset, events.key, events.attempt,
        events.details::text
    from flowstone.events where events.run_id = $1 and events.asset = $2 and events.key = $3
        and events.kind in ('step.started', 'step.retried', 'step.waiting')
    order by events.attempt desc, events.number desc limit 1)
    union all
    (select 0, 'step.started', begun.at, starts.run_id, begun.asset, begun.key, 1,
        case when starts.node is not null then json_build_object('node', starts.node)::text end
    from flowstone.starts cross join unnest(starts.at, starts.asset, starts.key) as begun(at, asset, key)
    where starts.run_id = $1 and $3 = any (starts.key) and begun.asset = $2 and begun.key = $3 limit 1)
) as told order by told.number desc limit 1
