-- $1: seconds that entries of the queue's own log stay; $2: how many to look at now, the oldest.
delete from flowstone.queue_log where id in (
    select id from (
        select id, created from flowstone.queue_log order by id limit $2 for update skip locked
    ) as oldest
    where oldest.created < now() - make_interval(secs => $1))
