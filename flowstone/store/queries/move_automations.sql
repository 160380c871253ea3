-- Of each change $1: a pipeline; $2: a name; $3: the version that it was decided upon; $4: the cursor; $5: what is pending;
-- $6: whether it is paused, null: as it was; $7: failures; $8: why; $9: what these changes are known by; $10: when, by
-- whom and why it is paused. Returns those that are made. Rows are locked in one order, so that no two transactions wait for each other.
with given as (
    select * from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::boolean[], $7::integer[],
        $8::text[], $10::text[]) as given(pipeline, name, version, cursor, pending, paused, failures, failure, pausing)
),
known as materialized (
    select automations.pipeline, automations.name from given join flowstone.automations
        on automations.pipeline = given.pipeline and automations.name = given.name
            and automations.version = given.version
    order by automations.pipeline, automations.name
    for update of automations
)
update flowstone.automations as moved set
    version = moved.version + 1,
    cursor = given.cursor::json,
    pending = given.pending::json,
    paused = coalesce(given.paused, moved.paused),
    pausing = case when given.paused is null then moved.pausing when given.paused then given.pausing::json end,
    failures = given.failures,
    failure = given.failure::json,
    token = $9,
    answer = null
from known join given on given.pipeline = known.pipeline and given.name = known.name
where moved.pipeline = known.pipeline and moved.name = known.name and moved.version = given.version
returning moved.pipeline, moved.name, moved.kind, moved.definition, moved.version, moved.cursor::text,
    moved.pending::text, moved.paused, moved.failures, moved.failure::text, moved.since, moved.gone_at,
    moved.pausing::text
