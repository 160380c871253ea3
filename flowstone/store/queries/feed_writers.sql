-- Transactions that may have taken a number of the feed and are not over. They have this lock from before they take one
-- until what they wrote can be seen, or never will be.
select distinct locks.virtualtransaction as writer from pg_locks as locks
where locks.locktype = 'relation' and locks.relation = 'flowstone.feed'::regclass
    and locks.database = (select known.oid from pg_database as known where known.datname = current_database())
    and locks.mode = 'RowExclusiveLock' and locks.granted
