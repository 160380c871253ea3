-- $1: pipelines, $2: requests as JSON. Nobody else creates, joins or leaves a run of these until the transaction ends.
-- In one order, so that no two transactions wait for each other.
with wanted as materialized (
    select distinct hashtextextended(flowstone.identity(given.pipeline, given.request::json), 0) as number
    from unnest($1::text[], $2::text[]) as given(pipeline, request)
    order by number
)
select pg_advisory_xact_lock(wanted.number) from wanted
