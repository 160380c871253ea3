-- $1: a pipeline; $2: a name; $3: whether it is to be paused; $4: when, by whom and why. Nothing is returned if nothing changes.
update flowstone.automations set
    paused = $3, version = version + 1,
    pausing = case when $3 then $4::json end,
    failures = case when $3 then failures else 0 end,
    failure = case when $3 then failure end
where pipeline = $1 and name = $2 and gone_at is null and (paused <> $3 or failures > 0 and not $3)
returning version
