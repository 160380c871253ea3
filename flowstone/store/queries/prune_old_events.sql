-- $1: runs, $2: the number of the first event of each that stays; $3: how many rows.
delete from flowstone.events using (
    select known.run_id, known.number
    from unnest($1::text[], $2::bigint[]) as cut(run_id, first) cross join lateral (
        select old.run_id, old.number from flowstone.events as old
        where old.run_id = cut.run_id and old.number < cut.first order by old.number limit $3
    ) as known
    limit $3
) as gone
where events.run_id = gone.run_id and events.number = gone.number
