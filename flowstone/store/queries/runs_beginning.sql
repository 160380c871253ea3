-- $1: how their ids begin, $2: how many. No id has a character behind the tilde.
select runs.id, runs.pipeline, runs.asset, runs.request::text, runs.status, runs.created_at, runs.started_at, runs.finished_at,
    runs.owner, runs.epoch, runs.total, runs.key, runs.priority, runs.succeeded, runs.failed, runs.skipped,
    runs.reused, runs.cancelled
from flowstone.runs where runs.id >= $1 and runs.id < $1 || '~'
order by runs.id limit $2
