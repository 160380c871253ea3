-- The table with the most rows that vacuum has not cleared away yet.
select relname as name, n_dead_tup as dead, n_live_tup as live
from pg_stat_user_tables where schemaname = 'flowstone' order by n_dead_tup desc limit 1
