-- Of runs that are gone, with their lines.
delete from flowstone.log_heads where log_heads.run_id in (
    select head.run_id from flowstone.log_heads as head
    where not exists (select from flowstone.runs where runs.id = head.run_id)
    and not exists (select from flowstone.logs where logs.run_id = head.run_id)
    order by head.run_id limit 1000 for update skip locked)
