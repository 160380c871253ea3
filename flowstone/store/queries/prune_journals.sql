-- $1: how many stay: those that wrote last, by the number of the transaction (frozen ones are the oldest) and not by any
-- clock. One that waits for an answer must find its row again, and others write little while the store is away.
delete from flowstone.journals where id in (
    select id from flowstone.journals order by age(xmin) offset $1 for update skip locked)
