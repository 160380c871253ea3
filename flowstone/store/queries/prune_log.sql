-- $1: seconds that entries of the queue's own log stay; $2: how many to delete now.
delete from flowstone.queue_log where id in (
    select id from flowstone.queue_log where created < now() - make_interval(secs => $1) order by id limit $2
    for update skip locked)
