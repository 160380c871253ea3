-- $1: how many rows. Of runs that are gone.
delete from flowstone.logs where (logs.run_id, logs.number) in (
    select old.run_id, old.number from flowstone.logs as old
    where old.run_id in (
        select head.run_id from flowstone.log_heads as head
        where not exists (select from flowstone.runs where runs.id = head.run_id)
        order by head.run_id limit 20 for update skip locked)
    limit $1)
