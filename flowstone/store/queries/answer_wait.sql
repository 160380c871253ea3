-- $1: a run, $2: asset, $3: key, $4: name, $5: the answer as JSON, $6: the request, $7: answered or rejected. The run's
-- row is locked. Nothing is returned if the run has finished, or the wait is not left for an answer, or over.
select (found.wait).run_id, (found.wait).asset, (found.wait).key, (found.wait).name, (found.wait).kind,
    (found.wait).attempt, (found.wait).asked_at, (found.wait).deadline, (found.wait).status,
    (found.wait).answer::text, (found.wait).answered_at, (found.wait).about::text, found.before
from flowstone.answer_wait($1, $2, $3, $4, $5, $6, $7) as found
