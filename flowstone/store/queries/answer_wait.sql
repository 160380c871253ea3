-- $1: a run, $2: asset, $3: key, $4: name, $5: the answer as JSON, $6: the request, $7: answered or rejected, $8: who sends a
-- signal; what decides an approval says who does. The run's row is locked. Nothing is returned if the run has finished, or
-- the wait is not left for an answer, or over.
with found as materialized (
    select answered.wait, answered.before from flowstone.answer_wait($1, $2, $3, $4, $5, $6, $7) as answered
), noted as (
    insert into flowstone.audit (action, by, asset, key, run_id, name, reason)
    select case (found.wait).kind
            when 'approval' then case $7::text when 'answered' then 'approval.approved' else 'approval.rejected' end
            else 'signal.sent' end,
        case (found.wait).kind when 'approval' then flowstone.plain($5::json -> 'by') else $8 end,
        (found.wait).asset, (found.wait).key, (found.wait).run_id, (found.wait).name,
        case (found.wait).kind when 'approval' then coalesce(flowstone.plain($5::json -> 'reason'), '') else '' end
    from found where (found.wait).kind in ('approval', 'signal')
)
select (found.wait).run_id, (found.wait).asset, (found.wait).key, (found.wait).name, (found.wait).kind,
    (found.wait).attempt, (found.wait).asked_at, (found.wait).deadline, (found.wait).status,
    (found.wait).answer::text, (found.wait).answered_at, (found.wait).about::text, (found.wait).arrival, found.before
from found
