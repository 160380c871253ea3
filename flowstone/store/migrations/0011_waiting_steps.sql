-- An attempt may also end because its step waits: found as a retry is, by its step and number.

drop index flowstone.events_attempts;
create index events_attempts on flowstone.events (run_id, asset, key, attempt)
    where kind in ('step.started', 'step.retried', 'step.waiting');
