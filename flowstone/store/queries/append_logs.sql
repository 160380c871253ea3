-- $1: who writes; then for each chunk: run, asset, key, attempt, part, when, how many lines, the lines.
with given as materialized (
    select chunk.*, sum(chunk.many) over (partition by chunk.run_id order by chunk.place) as up_to
    from unnest($2::text[], $3::text[], $4::text[], $5::integer[], $6::bigint[], $7::double precision[], $8::integer[],
        $9::text[]) with ordinality as chunk(run_id, asset, key, attempt, part, at, many, lines, place)
    where exists (select from flowstone.runs where runs.id = chunk.run_id)
), wanted as materialized (
    select given.run_id, sum(given.many)::bigint as many from given group by given.run_id
), heads as (
    insert into flowstone.log_heads as head (run_id, last)
    select wanted.run_id, wanted.many from wanted order by wanted.run_id
    on conflict (run_id) do update set last = head.last + excluded.last
    returning head.run_id, head.last
)
insert into flowstone.logs (run_id, number, asset, key, attempt, writer, part, at, lines)
select given.run_id, heads.last - wanted.many + given.up_to, given.asset, given.key, given.attempt, $1, given.part,
    to_timestamp(given.at), given.lines::json
from given join heads using (run_id) join wanted using (run_id)
on conflict do nothing
