-- $1: a pipeline; $2: a name; $3: the version that the change was decided upon; $4: the cursor; $5: what is pending;
-- $6: whether it is paused, null: as it was; $7: failures; $8: why; $9: the change; $10: when, by whom and why it
-- is paused.
update flowstone.automations set
    version = version + 1,
    cursor = $4::json,
    pending = $5::json,
    paused = coalesce($6::boolean, paused),
    pausing = case when $6::boolean is null then pausing when $6::boolean then $10::json end,
    failures = $7,
    failure = $8::json,
    token = $9,
    answer = null
where pipeline = $1 and name = $2 and version = $3
returning pipeline, name, kind, definition, version, cursor::text, pending::text, paused, failures, failure::text, since, gone_at,
    pausing::text
